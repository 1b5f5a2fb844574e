// The page for labels: what it knows, and what happens when the server tells or the user asks something.

import * as layers from "./layers.js";
import * as panel from "./panel.js";
import { ask as send, connect, connected, inflated } from "./socket.js";
import * as tools from "./tools.js";
import { fit, go, length, open as openView, pan, redraw, renew, view, zoom } from "./view.js";

const find = (id) => document.getElementById(id);
const { hand } = tools;
const app = { images: [], states: [], image: null, index: -1, state: 1, scores: null, trained: {}, places: [], tile: 512, place: -1 };
window.persistem = { app, layers, view, hand }; // for tests, and for the curious

let waiting = Promise.resolve(); // messages with pixels are done one after another
let quiet = 0;

// ---- asking

/** Ask for something about the micrograph that is shown. */
function ask(message) {
  if (!connected()) { say("The line to the server is broken, so this was not done."); return 0; }
  if (app.image?.problem && message.do !== "train") { say(app.image.problem); return 0; }
  return send({ image: app.image.name, ...message });
}
const askPlain = (message) => (connected() ? send(message) : 0);

function train() {
  if (!find("train").disabled) ask({ do: "train" });
}

/** Show a sentence for a while. */
function say(text) {
  find("trouble").textContent = text;
  find("trouble").hidden = !text;
  clearTimeout(quiet);
  quiet = setTimeout(() => { find("trouble").hidden = true; }, 4000 + 60 * text.length);
}

// ---- what the server tells

const told = {
  hello(message) {
    Object.assign(app, { images: message.images, scores: message.scores, trained: message.trained, back: message.back, tile: message.tile });
    find("folder").textContent = `Everything is saved in ${message.folder} as you paint.`;
    find("saved").textContent = "Saved";
    find("saved").className = "saved done";
    tools.forget();
    told.states(message);
    panel.work(message.work);
    panel.scores(app);
    const again = app.images.findIndex((image) => image.name === (app.image?.name ?? decodeURIComponent(location.hash.slice(1))));
    open(Math.max(again, 0), again >= 0 && app.image !== null);
  },
  states(message) {
    const colours = (states) => JSON.stringify(states.map(({ number, name, colour }) => [number, name, colour]));
    const same = colours(app.states) === colours(message.states);
    const added = message.states.find((state) => !app.states.some((old) => old.number === state.number));
    const first = !app.states.length;
    app.states = message.states;
    if (!app.states.some((state) => state.number === app.state) || (added && !first && app.adding)) choose((app.adding && added ? added : app.states[0])?.number ?? 0, false);
    if (app.adding && added) setTimeout(() => [...document.querySelectorAll(".label-name")].at(-1)?.select());
    app.adding = false;
    if (!same) layers.colours(app.states);
    hand.colour = app.states.find((state) => state.number === app.state)?.colour ?? "#888888";
    panel.states(app, { choose, ask: askPlain });
    panel.hint(app);
    if (!same) { panel.scores(app); showMapPart(); }
  },
  image(message) {
    const k = app.images.findIndex((image) => image.name === message.image.name);
    const asked = app.images[k].pixel_size === null && message.image.pixel_size !== null;
    app.images[k] = message.image;
    if (app.image?.name === message.image.name) {
      app.image = message.image;
      renew(app.image);
      about();
      if (asked) ask({ do: "describe" });
    }
    panel.images(app, open);
    panel.stale(app);
    panel.hint(app);
  },
  async labels(message) {
    if (app.image?.name === message.image.name && message.image.revision > app.loaded) layers.patch(message.box, await inflated(message.data));
    told.image(message);
  },
  did({ id }) { tools.did(id); },
  sentence({ text }) { say(text); },
  saved({ saved }) {
    find("saved").textContent = saved ? "Saved" : "Saving …";
    find("saved").className = `saved${saved ? " done" : ""}`;
  },
  work({ work }) { panel.work(work); },
  trained({ scores, trained }) {
    Object.assign(app, { scores, trained });
    panel.scores(app);
    panel.hint(app);
  },
  async map(message) {
    if (app.image?.name !== message.image) return;
    layers.showMap(message, await inflated(message.data), app.states);
    app.places = hand.places = message.places;
    app.place = hand.place = -1;
    if (!find("show-map").checked) toggle("map");
    showMapPart();
    redraw();
  },
};

function showMapPart() {
  panel.map(app, layers.theMap() ? layers.shares() : null, place);
}

/** Show a micrograph; `again` keeps the view. */
function open(index, again = false) {
  app.index = index;
  app.image = app.images[index];
  location.hash = encodeURIComponent(app.image.name);
  if (again) renew(app.image);
  else {
    openView(app.image, index, app.tile);
    layers.labels(app.image.rows, app.image.columns, new Uint8Array(app.image.rows * app.image.columns));
    layers.showMap(null);
    app.places = hand.places = [];
    app.place = hand.place = -1;
  }
  tools.forget();
  const name = app.image.name;
  app.loaded = Infinity;
  waiting = waiting.then(async () => {
    const answer = await fetch(`labels/${index}`), bytes = new Uint8Array(await answer.arrayBuffer());
    if (app.image.name !== name) return;
    app.loaded = Number(answer.headers.get("X-Revision"));
    layers.labels(app.image.rows, app.image.columns, bytes);
    document.body.dataset.ready = name;
  }).catch(() => say("The labels could not be fetched; load the page again."));
  about();
  panel.images(app, open);
  panel.states(app, { choose, ask: askPlain });
  panel.hint(app);
  showMapPart();
  size();
  if (app.image.problem) say(app.image.problem);
  else if (app.scores) ask({ do: "map" });
  else ask({ do: "describe" });
}

/** The name of the micrograph and the size of its pixels; the question, if nobody has said it. */
function about() {
  const { image } = app;
  find("file").textContent = image.file;
  document.title = `${image.file}: PersisTEM`;
  find("pixel").hidden = image.pixel_size === null;
  find("pixel").textContent = image.counted ? "counted in pixels" : `${Number(Number(image.pixel_size).toPrecision(4))} Å a pixel`;
  if (image.pixel_size === null) question();
  else find("ask").hidden = true;
  for (const [what, count] of [["undo", image.undo], ["redo", image.redo]]) document.querySelector(`[data-do="${what}"]`).disabled = !count;
  panel.states(app, { choose, ask: askPlain });
  if (image.window !== app.window && !app.sized) hand.radius = Math.max(12, 0.75 * image.window); // a stroke holds windows
  app.window = image.window;
  size();
}

function question() {
  find("ask-text").textContent = app.image.pixel_size === null ? `${app.image.file} does not say how large its pixels are.` : `How large are the pixels of ${app.image.file}?`;
  find("ask").hidden = false;
}

/** A length as people write it, in Å: "0,466", "0.466 Å", "0.0466 nm"; NaN if it is none. */
function angstrom(text) {
  const found = /^(\d*[.,]?\d+(?:e[+-]?\d+)?)\s*(å|a|angstrom|nm|pm)?$/i.exec(text.normalize("NFKC").trim());
  return found ? Number(found[1].replace(",", ".")) * ({ nm: 10, pm: 0.01 }[found[2]?.toLowerCase()] ?? 1) : NaN;
}

// ---- what the user does

function choose(number, brush = true) {
  app.state = hand.state = number;
  hand.colour = app.states.find((state) => state.number === number)?.colour ?? "#888888";
  if (brush && (hand.tool === "eraser" || hand.tool === "hand" || hand.tool === "accept")) tool("brush");
  panel.chosen(app);
  redraw();
}

function tool(name) {
  tools.choose(name);
  document.querySelectorAll("[data-tool]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.tool === name));
  if (name === "accept" && !layers.theMap()) say("Train first; then a click takes a region of the map as label.");
}

/** The slider goes from 1 pixel to a twentieth of the micrograph, evenly in factors. */
const most = () => Math.max(app.image ? Math.max(app.image.rows, app.image.columns) / 20 : 60, 20, app.image?.window ?? 0);
function size(radius = hand.radius) {
  hand.radius = Math.min(Math.max(radius, 1), most());
  find("radius").value = (100 * Math.log(hand.radius)) / Math.log(most());
  if (app.image) find("radius-value").textContent = length(2 * hand.radius, 2);
  redraw();
}

function resize(radius) {
  app.sized = true;
  size(radius);
}

function toggle(what) {
  const box = find(`show-${what}`);
  box.checked = !box.checked;
  box.dispatchEvent(new Event("change"));
}

function place(k) {
  app.place = hand.place = k;
  panel.current(app);
  go(...app.places[k], Math.max(view.scale, Math.min(2, 700 / (app.image.columns / 4))));
}

function contrast() {
  find("image").style.filter = `contrast(${find("contrast").value}) brightness(${find("brightness").value})`;
}

function act(what) {
  if (what === "undo" && tools.back()) return;
  ({ undo: () => app.image.undo && ask({ do: "undo" }), redo: () => app.image.redo && ask({ do: "redo" }), in: () => zoom(1.5), out: () => zoom(1 / 1.5), whole: fit })[what]();
}

/** What is under the pointer. */
function pointed(at) {
  const found = at && layers.shown.map ? layers.windowAt(...at) : null;
  if (!at || !app.image || at[0] < 0 || at[1] < 0 || at[0] > app.image.columns || at[1] > app.image.rows) { find("readout").textContent = ""; return; }
  const named = (number) => app.states.find((state) => state.number === number)?.name ?? "deleted";
  const label = layers.labelAt(...at);
  const parts = [`x ${length(at[0])}, y ${length(at[1])}`];
  if (label) parts.push(`label ${named(label)}`);
  if (found) parts.push((found.abstain ? "not sure: " : "") + found.probability.slice().sort((a, b) => b[1] - a[1]).slice(0, 3).map(([number, p]) => `${named(number)} ${Math.round(100 * p)} %`).join(", "));
  find("readout").textContent = parts.join("  ·  ");
}

function keys(event) {
  const typing = event.target.matches("input:not([type=range]):not([type=checkbox]), select, textarea");
  if (typing || find("keys").open || !app.image) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") act(event.shiftKey ? "redo" : "undo");
    else if (key === "y") act("redo");
    else return;
    event.preventDefault();
    return;
  }
  if (event.altKey) return;
  const ranged = event.target.matches("input[type=range]");
  const arrow = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
  const does = {
    b: () => tool("brush"), p: () => tool("polygon"), e: () => tool("eraser"), a: () => tool("accept"), h: () => tool("hand"),
    "[": () => resize(hand.radius / 1.25), "]": () => resize(hand.radius * 1.25), t: train, m: () => toggle("map"), l: () => toggle("labels"),
    "?": () => find("keys").showModal(), "+": () => act("in"), "=": () => act("in"), "-": () => act("out"), 0: () => act("whole"),
    n: () => app.places.length && place((app.place + 1) % app.places.length), Escape: tools.drop,
  };
  if (/^[1-9]$/.test(key)) { const state = app.states[key - 1]; if (state) choose(state.number); }
  else if (key === "Enter") { if (!tools.close()) return; }
  else if (key === " ") { if (event.target.matches("button, input")) return; hand.space = true; tools.cursor(); redraw(); }
  else if (arrow) { if (ranged) return; pan((arrow[0] * view.width) / 8, (arrow[1] * view.height) / 8); }
  else if (does[key]) does[key]();
  else return;
  event.preventDefault();
}

function listen() {
  document.querySelectorAll("[data-tool]").forEach((button) => button.addEventListener("click", () => tool(button.dataset.tool)));
  document.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", () => act(button.dataset.do)));
  find("train").addEventListener("click", train);
  find("cancel").addEventListener("click", () => askPlain({ do: "cancel" }));
  find("add").addEventListener("click", () => { app.adding = true; askPlain({ do: "add" }); });
  find("help").addEventListener("click", () => find("keys").showModal());
  find("pixel").addEventListener("click", question);
  find("radius").addEventListener("input", () => resize(most() ** (find("radius").value / 100)));
  for (const id of ["contrast", "brightness"]) {
    find(id).addEventListener("input", contrast);
    find(id).addEventListener("dblclick", () => { find(id).value = 1; contrast(); });
  }
  for (const what of ["labels", "map"]) {
    find(`show-${what}`).addEventListener("change", () => { layers.shown[what] = find(`show-${what}`).checked; redraw(); });
    find(`${what}-opacity`).addEventListener("input", () => { layers.shown[`${what}Opacity`] = Number(find(`${what}-opacity`).value); redraw(); });
  }
  find("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const value = angstrom(find("ask-size").value);
    if (value > 0 && value < 1e6) ask({ do: "pixel_size", value });
    else say("The size of a pixel is a positive number: 0.466, 0.466 Å or 0.0466 nm, for example.");
  });
  find("ask-unknown").addEventListener("click", () => ask({ do: "pixel_size", value: null }));
  find("keys").addEventListener("click", (event) => { if (event.target === find("keys")) find("keys").close(); });
  addEventListener("keydown", keys);
  addEventListener("keyup", (event) => { if (event.key === " ") { hand.space = false; tools.cursor(); redraw(); } });
  addEventListener("blur", () => { hand.space = false; tools.cursor(); });
  addEventListener("resize", redraw);
}

listen();
tools.start(ask, pointed);
tool("brush");
connect(
  (message) => { waiting = waiting.then(() => told[message.tell](message)).catch((error) => console.error(error)); },
  panel.lost,
);
