// The panel: micrographs, states, training, scores, the map and the places where a stroke would help.

import { length } from "./view.js";

const find = (id) => document.getElementById(id);
const make = (tag, into, properties = {}) => into.appendChild(Object.assign(document.createElement(tag), properties));
const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);

export function images(app, open) {
  find("images-part").hidden = app.images.length < 2;
  find("images").replaceChildren();
  app.images.forEach((image, k) => {
    const button = make("button", make("li", find("images")), { type: "button", textContent: image.file, title: image.problem || image.name });
    button.setAttribute("aria-current", image.name === app.image?.name);
    button.addEventListener("click", () => open(k));
    const painted = Object.keys(image.counts).length;
    make("span", button, { className: "mark", textContent: image.problem ? "changed or gone" : painted ? "labelled" : "" });
  });
}

/** The states, as rows; an input that is being typed into stays. */
export function states(app, { choose, ask }) {
  if (document.activeElement?.classList.contains("label-name") && document.activeElement.dataset.typed) return;
  const list = find("states"), counts = app.image?.counts ?? {}, all = app.image ? app.image.rows * app.image.columns : 1;
  list.replaceChildren();
  app.states.forEach(({ number, name, colour, used }, k) => {
    const row = make("li", list, { className: `state-row${number === app.state ? " chosen" : ""}` });
    row.dataset.state = number;
    const key = make("button", row, { type: "button", className: "key", textContent: k < 9 ? k + 1 : "·", title: `Paint ${name}${k < 9 ? ` (${k + 1})` : ""}` });
    key.setAttribute("aria-label", `Paint ${name}`);
    key.setAttribute("aria-pressed", number === app.state);
    const swatch = make("input", row, { type: "color", value: colour, title: "Colour" });
    swatch.setAttribute("aria-label", `Colour of ${name}`);
    swatch.addEventListener("change", () => ask({ do: "state", number, name, colour: swatch.value }));
    const field = make("input", row, { className: "label-name", value: name, maxLength: 40, spellcheck: false, autocomplete: "off", title: "Click to rename" });
    field.setAttribute("aria-label", `Name of state ${k + 1}`);
    const done = () => {
      delete field.dataset.typed;
      const text = field.value.trim().replace(/\s+/g, "-");
      if (text && text !== name) ask({ do: "state", number, name: text, colour });
      else field.value = name;
    };
    field.addEventListener("focus", () => { choose(number, false); });
    field.addEventListener("input", () => { field.dataset.typed = 1; });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { field.value = name; delete field.dataset.typed; field.blur(); }
      if (event.key === "Enter") field.blur();
      event.stopPropagation();
    });
    field.addEventListener("blur", done);
    make("span", row, { className: "amount", textContent: counts[number] ? percent(counts[number] / all) : "" });
    if (!used) {
      const drop = make("button", row, { type: "button", className: "drop", textContent: "×", title: `Delete ${name}` });
      drop.setAttribute("aria-label", `Delete ${name}`);
      drop.addEventListener("click", (event) => { event.stopPropagation(); ask({ do: "delete", number }); });
    }
    row.addEventListener("click", (event) => { if (event.target !== field && event.target !== swatch) choose(number); });
  });
}

/** Mark the chosen state, without making the rows anew. */
export function chosen(app) {
  for (const row of find("states").children) {
    const on = Number(row.dataset.state) === app.state;
    row.classList.toggle("chosen", on);
    row.querySelector(".key").setAttribute("aria-pressed", on);
  }
}

/** What to do next. */
export function hint(app) {
  const used = app.states.filter((state) => state.used), waiting = app.images.find((image) => image.pixel_size === null && (image.name === app.image?.name || Object.keys(image.counts).length));
  const text = waiting ? `First say how large the pixels of ${waiting.file} are.`
    : !used.length ? `Name your states, and paint some strokes of each: only where you are certain. ${wide(app)}`
      : used.length === 1 ? `Now paint a stroke of another state than ${used[0].name}.`
        : app.scores ? ""
          : app.back ? "Your labels are back. The map and the score are not kept: press T, and they are made again."
            : `Train as soon as each state has a stroke or two; then paint where the map is wrong. ${wide(app)}`;
  find("hint").textContent = text;
  find("train").disabled = used.length < 2 || Boolean(waiting);
  find("train").textContent = app.scores ? "Train again" : "Train";
}

/** What a study needs to tell texture from brightness (persistem.labelled.blind). */
const wide = (app) => (app.image?.window ? `Of each, make at least one area clearly wider than a window, which is ${length(app.image.window, 2)}.` : "");

export function work(state) {
  find("work").hidden = !state;
  if (!state) return;
  find("work-title").textContent = state.title;
  const left = state.remaining === null ? null : Math.ceil(state.remaining);
  find("work-left").textContent = left === null ? "…" : left < 1 ? "" : left < 90 ? `${left} s left` : `${Math.round(left / 60)} min left`;
  if (state.share) find("work-bar").value = state.share;
  else find("work-bar").removeAttribute("value");
}

/** What held-out blocks say. */
export function scores(app) {
  const found = app.scores, into = find("scores");
  find("scores-part").hidden = !found;
  into.replaceChildren();
  if (!found) return;
  if (found.balanced_accuracy !== undefined) {
    const total = make("div", into, { className: "total", textContent: `${percent(found.balanced_accuracy)} ` });
    make("small", total, { textContent: `right, on labels held out${found.held ? ` ${found.held}` : ""}` });
  }
  const grid = make("div", into, { className: "scored" });
  for (const [name, share] of Object.entries(found.recall ?? {})) {
    const windows = found.windows?.[name];
    make("span", grid, { textContent: name, title: windows === undefined ? "" : `${windows} windows` });
    const fill = make("span", make("span", grid, { className: "track" }), { className: "fill" });
    fill.style.cssText = `display: block; width: ${100 * share}%; background: ${app.states.find((state) => state.name === name)?.colour ?? "#55606b"}`;
    make("span", grid, { className: "of", textContent: percent(share) });
  }
  if (found.abstained_all !== undefined) {
    const total = make("div", into, { className: "total abstained", textContent: `${percent(found.abstained_all)} ` });
    make("small", total, { textContent: "of them it would abstain on, right or not" });
    const much = Object.entries(found.abstained).filter(([, share]) => share >= 0.1).sort((a, b) => b[1] - a[1]);
    if (much.length) make("p", into, { className: "hint", textContent: `Abstained: ${much.map(([name, share]) => `${name} ${percent(share)}`).join(", ")}.` });
  }
  for (const note of found.notes ?? []) make("p", into, { className: "hint", textContent: note });
}

/** The shares of the map, whether it is older than the labels, and the places. */
export function map(app, counts, go) {
  find("map-part").hidden = !counts;
  if (!counts) return;
  find("shares").replaceChildren();
  for (const [number, share] of [...counts].sort((a, b) => (a[0] || 999) - (b[0] || 999))) {
    if (!number && !share) continue;
    const state = app.states.find((one) => one.number === number), item = make("li", find("shares"));
    const swatch = make("span", item, { className: number ? "swatch" : "swatch hatched" });
    if (number) swatch.style.background = state?.colour ?? "#888";
    item.append(`${number ? state?.name ?? "deleted" : "not sure"} ${percent(share)}`);
  }
  stale(app);
  find("places-part").hidden = !app.places.length;
  find("places").replaceChildren();
  app.places.forEach((_, k) => make("button", find("places"), { type: "button", textContent: k + 1, ariaLabel: `Go to place ${k + 1}` }).addEventListener("click", () => go(k)));
}

/** Mark the place that is shown, of those where a stroke would help; the focus goes along. */
export function current(app) {
  const buttons = [...find("places").children];
  buttons.forEach((button, k) => button.setAttribute("aria-current", k === app.place));
  if (buttons.includes(document.activeElement)) buttons[app.place]?.focus();
}

export function stale(app) {
  find("stale").hidden = !app.images.some((image) => app.trained[image.name] !== image.content && (image.name in app.trained || Object.keys(image.counts).length));
}

/** Say that the line to the server is broken, or is there again. */
export function lost(broken) {
  document.body.classList.toggle("lost", broken);
  find("folder").hidden = broken;
  if (!broken) return;
  find("saved").textContent = "No connection. Strokes from now on are not kept; earlier ones are. Start persistem label again and open the page that it prints.";
  find("saved").className = "saved lost";
}
