// The page of a map: the micrograph and the map over it, the window under the pointer, and what decided in one.

const DATA = JSON.parse(document.getElementById("data").textContent);
const { grid, field, states } = DATA;
const DIAGRAM = ["#6a3d9a", "#00857c"]; // of islands and of rings
const NEUTRAL = "#ffffff";
const RAMP = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"]; // viridis
const REASONS = ["#ffffff", "#56b4e9", "#e69f00", "#cc3311", "#7b5ea7", "#0a6338", "#b07aa1", "#8c564b", "#17becf"]; // colours of the reasons to abstain
const REFERENCES = 64; // windows that one is compared with
const LISTED = 12; // pairs in the table
const BELOW = 88; // screen pixels for what the colours mean
const MOST_ZOOM = 60; // screen pixels in a pixel of the model

const find = (role) => document.querySelector(`[data-role="${role}"]`);
const make = (tag, into, properties) => into.appendChild(Object.assign(document.createElement(tag), properties));
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const minus = (text) => String(text).replace("-", "−");
const signed = (x, digits) => (x > 0 ? "+" : "") + minus(Number(x.toFixed(digits)) === 0 ? (0).toFixed(digits) : x.toFixed(digits));
const percent = (p) => (p > 0.999 ? "> 99.9 %" : p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);
const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const counted = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

/** The typed arrays of the page: base64 of deflated bytes. */
async function decoded() {
  const types = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int32: Int32Array, float32: Float32Array, float64: Float64Array };
  const found = {};
  await Promise.all([...document.querySelectorAll("script[data-array]")].map(async (element) => {
    const text = atob(element.textContent), bytes = new Uint8Array(text.length);
    for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
    element.textContent = "";
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    found[element.dataset.array] = new types[element.dataset.type](await new Response(stream).arrayBuffer());
  }));
  return found;
}

// ---- windows of the grid

const canvas = document.getElementById("view"), context = canvas.getContext("2d");
const probability = (at, k) => DATA.arrays.probability[(at.i * grid.columns + at.j) * states.length + k] / 65535;
const reasonOf = (at) => DATA.arrays.reason[at.i * grid.columns + at.j];
const centre = (at) => ({ x: grid.origin[1] + at.j * grid.step, y: grid.origin[0] + at.i * grid.step });
const likeliest = (at) => states.reduce((best, _, k) => (probability(at, k) > probability(at, best) ? k : best), 0);
const hasPairs = () => DATA.pairs === "here";
const evaluable = () => Object.keys(DATA.lengths).every((name) => (name === "persistence" ? hasPairs() : `blocks.${name}` in DATA.arrays));
const answers = () => evaluable() || DATA.pairs === "many"; // which says why not
const pairsOf = (at) => (hasPairs() ? pairsIn(DATA, at.i * DATA.stride, at.j * DATA.stride) : []);

/** The window whose centre is nearest to a place (nm); null beyond the outermost ones. */
function windowAt({ x, y }) {
  const i = Math.round((y - grid.origin[0]) / grid.step), j = Math.round((x - grid.origin[1]) / grid.step);
  return i >= 0 && j >= 0 && i < grid.rows && j < grid.columns ? { i, j } : null;
}

/** Edges of a window, nm: those of its pixels. */
function square(at) {
  const edge = (k) => (k * DATA.stride - DATA.before - 0.5) * DATA.sampling + DATA.first;
  return { x: edge(at.j), y: edge(at.i), side: DATA.size * DATA.sampling };
}

// ---- what is shown over the micrograph

const micrograph = document.getElementById("micrograph");
const over = Object.assign(document.createElement("canvas"), { width: grid.columns, height: grid.rows });
const abstained = Object.assign(document.createElement("canvas"), { width: grid.columns, height: grid.rows });
const layer = document.createElement("canvas");
let small, hatching; // the whole micrograph with fewer pixels; a pattern
let what = "state", opacity = DATA.opacity;

/** A colour of the ramp at x, 0 to 1. */
function ramp(x) {
  const at = clamp(x, 0, 1) * (RAMP.length - 1), k = Math.min(Math.floor(at), RAMP.length - 2);
  const [low, high] = [rgb(RAMP[k]), rgb(RAMP[k + 1])];
  return low.map((c, m) => c + (high[m] - c) * (at - k));
}

/** Colour and opacity (0 to 1) of a window. */
function paint(at) {
  const best = likeliest(at), sure = clamp((states.length * probability(at, best) - 1) / (states.length - 1), 0, 1);
  if (what === "state") return [rgb(DATA.colours[best]), sure];
  if (what === "confidence") return [ramp(sure), 1];
  if (what === "abstain") return [rgb(REASONS[reasonOf(at) % REASONS.length]), reasonOf(at) ? 1 : 0];
  const k = Number(what.slice(2));
  return [rgb(DATA.colours[k]), probability(at, k)];
}

/** Colour every window anew. */
function recolour() {
  const image = new ImageData(grid.columns, grid.rows), mask = new ImageData(grid.columns, grid.rows);
  for (let i = 0, k = 0; i < grid.rows; i++) {
    for (let j = 0; j < grid.columns; j++, k += 4) {
      const hatched = what !== "abstain" && reasonOf({ i, j }) > 0;
      const [colour, alpha] = hatched ? [[0, 0, 0], 0] : paint({ i, j });
      image.data.set([...colour, 255 * alpha], k);
      mask.data[k + 3] = hatched ? 255 : 0;
    }
  }
  over.getContext("2d").putImageData(image, 0, 0);
  abstained.getContext("2d").putImageData(mask, 0, 0);
  explain();
  redraw();
}

/** What the colours mean. */
function explain() {
  const scale = find("scale");
  scale.replaceChildren();
  const gradient = (from, to, colours) => {
    scale.append(from);
    make("span", scale, { className: "ramp" }).style.background = `linear-gradient(90deg, ${colours.join(", ")})`;
    scale.append(to);
  };
  if (what === "state") scale.append("The more opaque a colour, the surer the state; no colour: no surer than by chance.");
  else if (what === "confidence") gradient("chance", "certain", RAMP);
  else if (what === "abstain") {
    DATA.reasons.forEach((reason, k) => {
      if (k === 0 || !DATA.reasonCounts[k]) return;
      make("span", scale, { className: "swatch" }).style.background = REASONS[k % REASONS.length];
      scale.append(`${reason}: ${counted(DATA.reasonCounts[k], "window")} `);
    });
    if (!scale.hasChildNodes()) scale.append("No window abstains.");
  } else {
    const colour = DATA.colours[Number(what.slice(2))];
    gradient("probability 0", "1", [`${colour}00`, colour]);
  }
}

// ---- the view: its upper left corner (nm) and screen pixels in a nm

const view = { x: 0, y: 0, scale: 1 };
let width = 0, height = 0, current = null, asked = null, pending = false;

const whole = () => Math.min(width / field[1], height / field[0]);
const toScreen = (x, y) => [(x - view.x) * view.scale, (y - view.y) * view.scale];
const toPlace = (px, py) => ({ x: view.x + px / view.scale, y: view.y + py / view.scale });

/** Keep the view over the micrograph, and say whether a finger moves the map or the page. */
function settle() {
  view.scale = clamp(view.scale, whole(), Math.max(whole(), MOST_ZOOM / DATA.sampling));
  for (const [name, extent, size] of [["x", field[1], width], ["y", field[0], height]]) {
    const seen = size / view.scale;
    view[name] = seen >= extent ? (extent - seen) / 2 : clamp(view[name], 0, extent - seen);
  }
  canvas.style.touchAction = view.scale > whole() * 1.01 ? "none" : "pan-y";
  redraw();
}

function zoom(factor, px = width / 2, py = height / 2) {
  const at = toPlace(px, py);
  view.scale = clamp(view.scale * factor, whole(), Math.max(whole(), MOST_ZOOM / DATA.sampling));
  view.x = at.x - px / view.scale;
  view.y = at.y - py / view.scale;
  settle();
}

/** Show a part of the micrograph: its edges in nm. */
function show(left, top, right, bottom) {
  view.scale = Math.min(width / (right - left), height / (bottom - top));
  view.scale = clamp(view.scale, whole(), MOST_ZOOM / DATA.sampling);
  view.x = (left + right - width / view.scale) / 2;
  view.y = (top + bottom - height / view.scale) / 2;
  settle();
}

function resize() {
  if (!canvas.clientWidth) return; // not laid out, as in a window that is not seen
  const all = Math.abs(view.scale - whole()) < 1e-9 || !width;
  width = canvas.clientWidth;
  const above = canvas.getBoundingClientRect().top + scrollY; // the verdict and the map fit on one screen
  height = clamp((width * field[0]) / field[1], 220, Math.max(320, innerHeight - above - BELOW));
  canvas.style.height = `${height}px`;
  canvas.width = layer.width = Math.round(width * devicePixelRatio);
  canvas.height = layer.height = Math.round(height * devicePixelRatio);
  if (all) view.scale = whole();
  settle();
}

function redraw() {
  if (!pending) requestAnimationFrame(() => { pending = false; draw(); });
  pending = true;
}

function draw() {
  if (!width) return;
  const ratio = devicePixelRatio;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const pixel = DATA.picture * view.scale; // a pixel of the picture on the screen
  const source = pixel * ratio < 0.5 ? small : micrograph;
  context.imageSmoothingEnabled = pixel * ratio < 3;
  context.imageSmoothingQuality = "high";
  const [x, y] = toScreen(0, 0);
  context.drawImage(source, x, y, micrograph.naturalWidth * pixel, micrograph.naturalHeight * pixel);
  const [left, top] = toScreen(grid.origin[1] - grid.step / 2, grid.origin[0] - grid.step / 2);
  const size = [grid.columns * grid.step * view.scale, grid.rows * grid.step * view.scale];
  context.imageSmoothingEnabled = false;
  context.globalAlpha = opacity;
  context.drawImage(over, left, top, ...size);
  const hatch = layer.getContext("2d");
  hatch.setTransform(ratio, 0, 0, ratio, 0, 0);
  hatch.globalCompositeOperation = "copy";
  hatch.fillStyle = hatching;
  hatch.fillRect(0, 0, width, height);
  hatch.globalCompositeOperation = "destination-in";
  hatch.imageSmoothingEnabled = false;
  hatch.drawImage(abstained, left, top, ...size);
  context.drawImage(layer, 0, 0, width, height);
  context.globalAlpha = 1;
  for (const [at, colour] of [[current, "#ffffff"], [asked, "#ffd500"]]) {
    if (!at) continue;
    const { x: a, y: b, side } = square(at), [sx, sy] = toScreen(a, b);
    for (const [line, style] of [[3.5, "rgba(0, 0, 0, .65)"], [1.5, colour]]) {
      Object.assign(context, { lineWidth: line, strokeStyle: style });
      context.strokeRect(sx, sy, side * view.scale, side * view.scale);
    }
  }
  scaleBar(find("bar"), view.scale, width);
}

/** A scale bar of a round length, about a fifth of a width on the screen. */
function scaleBar(bar, scale, across) {
  const most = (across * 0.24) / scale, power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((x) => x * power).find((x) => x <= most);
  bar.style.width = `${length * scale}px`;
  bar.textContent = length >= 1 ? `${+length.toPrecision(1)} nm` : `${+(10 * length).toPrecision(1)} Å`;
}

// ---- the window under the pointer

/** Bars of the probabilities of the states. */
function bars(into, values) {
  into.replaceChildren();
  const list = make("div", into, { className: "states" });
  values.forEach((p, k) => {
    make("span", list, { textContent: states[k] });
    const fill = make("div", make("div", list, { className: "track" }), { className: "fill" });
    Object.assign(fill.style, { width: `${100 * p}%`, background: DATA.colours[k] });
    make("span", list, { className: "of", textContent: percent(p) });
  });
}

/** The panels of the diagrams, one for each band and filtration. */
function panels() {
  const into = find("diagrams");
  if (!hasPairs()) return;
  DATA.bands.forEach((band, b) => DATA.filtrations.forEach((filtration, f) => {
    const figure = make("figure", into);
    make("figcaption", figure, { textContent: `${filtration}, ${band.name}` });
    Object.assign(make("canvas", figure), { width: 320, height: 320 }).setAttribute("role", "img");
    Object.assign(figure.dataset, { band: b, filtration: f });
  }));
}

/** The diagrams of pairs. */
function diagrams(pairs) {
  for (const figure of document.querySelectorAll(".diagrams figure")) {
    const [band, filtration] = [Number(figure.dataset.band), Number(figure.dataset.filtration)];
    const here = pairs.filter((pair) => pair.band === band && pair.filtration === filtration);
    const target = figure.querySelector("canvas"), pen = target.getContext("2d"), end = DATA.bands[band].window;
    const side = target.width, margin = 34, x = (v) => margin + ((clamp(v, -end, end) + end) / (2 * end)) * (side - margin - 8);
    const y = (v) => side - x(v);
    pen.clearRect(0, 0, side, side);
    Object.assign(pen, { strokeStyle: "#c3cad1", lineWidth: 2, fillStyle: "#55606b", font: "20px sans-serif", globalAlpha: 1 });
    pen.strokeRect(x(-end), y(end), x(end) - x(-end), y(-end) - y(end));
    pen.beginPath();
    pen.moveTo(x(-end), y(-end));
    pen.lineTo(x(end), y(end));
    pen.stroke();
    pen.textAlign = "left";
    pen.fillText(minus(-end), x(-end), side - 8);
    pen.textAlign = "center";
    pen.fillText("birth, SD", x(0), side - 8);
    pen.textAlign = "right";
    pen.fillText(end, x(end), side - 8);
    pen.save();
    pen.translate(22, y(0));
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText("death, SD", 0, 0);
    pen.restore();
    pen.globalAlpha = 0.75;
    for (const pair of here) mark(pen, x(pair.birth), y(pair.death), 5, pair.degree, DIAGRAM[pair.degree]);
    const rings = here.filter((pair) => pair.degree === 1).length;
    target.setAttribute("aria-label", `${figure.querySelector("figcaption").textContent}: ${counted(here.length - rings, "island")}, ${counted(rings, "ring")}`);
  }
}

/** A pair: a disc for an island, a diamond for a ring. */
function mark(pen, x, y, radius, degree, colour, edge) {
  pen.beginPath();
  if (degree === 0) pen.arc(x, y, radius, 0, 2 * Math.PI);
  else for (const [dx, dy] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) pen.lineTo(x + 1.2 * dx * radius, y + 1.2 * dy * radius);
  pen.closePath();
  pen.fillStyle = colour;
  pen.fill();
  if (edge) Object.assign(pen, { strokeStyle: edge, lineWidth: 1.5 }), pen.stroke();
}

/** A window in words. */
function said(at) {
  const { x, y } = centre(at), best = likeliest(at);
  const state = `${states[best]} ${percent(probability(at, best))}`;
  return `x ${x.toFixed(2)} nm, y ${y.toFixed(2)} nm: ${reasonOf(at) ? `abstained, ${DATA.reasons[reasonOf(at)]}; ` : ""}${state}`;
}

/** Say what is known of a window; `place` is that of the pointer, nm. */
function point(at, place = at && centre(at)) {
  const moved = !at || !current || at.i !== current.i || at.j !== current.j;
  if (place) find("where").textContent = `x ${place.x.toFixed(2)} nm, y ${place.y.toFixed(2)} nm`;
  if (!moved) return;
  current = at;
  redraw();
  find("reason").hidden = !at || !reasonOf(at);
  if (!at) {
    find("bars").textContent = "No window has its centre here.";
    diagrams([]);
    return;
  }
  bars(find("bars"), states.map((_, k) => probability(at, k)));
  find("reason").textContent = `Abstained: ${DATA.reasons[reasonOf(at)]}. The probabilities are not to be believed.`;
  diagrams(pairsOf(at));
}

// ---- what decided in a window

/** The state that is shown: the chosen one, or the window's most probable. */
const stateOf = (at) => (what.startsWith("p:") ? Number(what.slice(2)) : likeliest(at));

/** Windows all over the micrograph that are valid and, where there are any, do not abstain. */
function references() {
  const all = [];
  for (let i = 0; i < grid.rows; i++) for (let j = 0; j < grid.columns; j++) if (reasonOf({ i, j }) !== 1) all.push({ i, j });
  const known = all.filter((at) => !reasonOf(at)), from = known.length ? known : all;
  const step = Math.max(1, from.length / REFERENCES);
  return Array.from({ length: Math.min(from.length, REFERENCES) }, (_, k) => from[Math.floor((k + 0.5) * step)]);
}

/** A part of what the model sees, in words. */
function nameOf({ name, kind }) {
  if (kind < 0) return NAMES[name] || name;
  const [degree, rest] = [kind % 2, Math.floor(kind / 2)];
  return `pairs: ${describe({ degree, filtration: rest % DATA.filtrations.length, band: Math.floor(rest / DATA.filtrations.length) })}`;
}

const NAMES = { contrast: "contrast", spectrum: "spectrum", persistence: "pairs of the diagrams" };
const describe = (pair) => `${DATA.filtrations[pair.filtration]} ${pair.degree ? "ring" : "island"}, ${DATA.bands[pair.band].name}`;

/** Show what decided in a window. */
function ask(at) {
  if (!answers()) return;
  asked = at;
  redraw();
  const state = stateOf(at), pairs = pairsOf(at), valid = reasonOf(at) !== 1;
  find("answer").hidden = false;
  const { x, y } = centre(at);
  find("asked").textContent = `At x ${x.toFixed(2)} nm, y ${y.toFixed(2)} nm, by ${DATA.before ? "the window about this place" : "all windows that hold this place"}: ${states[state]} ${percent(probability(at, state))}${reasonOf(at) ? `, but ${DATA.before ? "it abstains" : "most abstain"}: ${DATA.reasons[reasonOf(at)]}` : ""}.${DATA.before ? "" : " Of the window about it:"}`;
  const parts = find("parts"), table = find("pairs");
  parts.replaceChildren();
  table.replaceChildren();
  let effects = null, own = 0;
  if (!valid) make("p", parts, { textContent: "A window that is constant, saturated or not finite was not judged." });
  else if (!evaluable()) make("p", parts, { textContent: leftOut() });
  else {
    const blocks = blocksOf(DATA, at.i, at.j, pairs);
    own = score(DATA, blocks, state);
    weigh(parts, blocks, state, own);
    if ("persistence" in DATA.lengths) effects = decided(DATA, blocks, pairs, state);
  }
  const order = pairs.map((_, k) => k);
  if (effects) order.sort((a, b) => Math.abs(effects[b]) - Math.abs(effects[a]));
  magnify(at, state, pairs, effects, -1);
  caption(state, pairs, effects);
  if (effects) list(table, at, state, own, pairs, effects, order);
}

const leftOut = () => (DATA.pairs === "many"
  ? "The micrograph has too many pairs for a page, so what decided in a window cannot be computed here."
  : "What the windows were judged by was not kept with this map, so what decided cannot be computed here.");

/** How much of the decision each block makes, and each diagram. */
function weigh(into, blocks, state, own) {
  const names = Object.keys(DATA.lengths);
  const say = make("p", into);
  say.append("Its score for ");
  make("strong", say, { textContent: states[state] });
  say.append(`, ln(p / (1 − p)), is ${signed(own, 2)}. `);
  if (!names.includes("persistence")) say.append(`The model decides by the ${names.map((name) => NAMES[name] || name).join(" and the ")} alone; it does not use the pairs of the diagrams.`);
  else if (names.length === 1) say.append("The model decides by the pairs of the diagrams alone.");
  DATA.references ??= references().map((other) => blocksOf(DATA, other.i, other.j, pairsOf(other)));
  const { base, parts, adds } = additive(DATA, blocks, DATA.references, state);
  const frame = make("div", into, { className: "scroll" });
  Object.assign(frame, { tabIndex: 0, ariaLabel: "Table of what each part adds" }).setAttribute("role", "region");
  const among = make("table", frame, { className: "parts" });
  make("caption", among, { textContent: `What adds up to the score, compared with ${counted(DATA.references.length, "other window")} of this micrograph` });
  const head = make("tr", make("thead", among));
  for (const [text, right] of [["Part of the window", false], ["Adds to the score", true]]) make("th", head, { textContent: text, scope: "col", className: right ? "r" : "" });
  const body = make("tbody", among), order = parts.map((_, k) => k).sort((a, b) => Math.abs(adds[b]) - Math.abs(adds[a]));
  const line = (name, value, kind = "") => {
    const row = make("tr", body, { className: kind });
    make("th", row, { textContent: name, scope: "row" });
    make("td", row, { textContent: signed(value, 2), className: "r" });
  };
  line("Base: mean score of the other windows", base);
  for (const k of order) line(nameOf(parts[k]), adds[k]);
  line(`Sum: the score for ${states[state]}`, own, "sum");
}

const against = (state) => (states.length === 2 ? DATA.colours[1 - state] : "#000000");
const colourOf = (effect, state) => (effect > 0 ? DATA.colours[state] : effect < 0 ? against(state) : NEUTRAL);

/** The window, enlarged, with the births of its pairs; `chosen` is one of them, or -1. */
function magnify(at, state, pairs, effects, chosen) {
  const target = find("detail"), pen = target.getContext("2d"), { x, y, side } = square(at);
  const fine = Math.max(1, Math.round(side / DATA.picture)), scale = Math.ceil(920 / DATA.size);
  const crop = Object.assign(document.createElement("canvas"), { width: fine, height: fine });
  const inner = crop.getContext("2d", { willReadFrequently: true });
  inner.drawImage(micrograph, x / DATA.picture, y / DATA.picture, side / DATA.picture, side / DATA.picture, 0, 0, fine, fine);
  const image = inner.getImageData(0, 0, fine, fine);
  const levels = Float32Array.from({ length: fine * fine }, (_, k) => image.data[4 * k]), sorted = levels.slice().sort();
  const [low, high] = [0.005, 0.995].map((q) => sorted[Math.floor(q * (sorted.length - 1))]);
  levels.forEach((level, k) => { image.data.fill(((level - low) / (high - low || 1)) * 255, 4 * k, 4 * k + 3); image.data[4 * k + 3] = 255; });
  inner.putImageData(image, 0, 0);
  target.width = target.height = DATA.size * scale;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(crop, 0, 0, target.width, target.height);
  const largest = effects ? Math.max(...effects.map(Math.abs), 1e-12) : 1;
  const rank = pairs.map((_, k) => k);
  if (effects) rank.sort((a, b) => Math.abs(effects[a]) - Math.abs(effects[b]));
  for (const k of rank) {
    const pair = pairs[k], effect = effects ? effects[k] : 0, strong = Math.abs(effect) > 0;
    const px = (pair.column - at.j * DATA.stride + 0.5) * scale, py = (pair.row - at.i * DATA.stride + 0.5) * scale;
    const colour = effects ? colourOf(effect, state) : DIAGRAM[pair.degree];
    pen.globalAlpha = strong || !effects ? 0.92 : 0.55;
    mark(pen, px, py, strong ? 5 + 17 * Math.sqrt(Math.abs(effect) / largest) : effects ? 3 : 6, pair.degree, colour, strong || !effects ? "#ffffff" : "#333333");
    if (k === chosen) {
      Object.assign(pen, { globalAlpha: 1, strokeStyle: "#ffd500", lineWidth: 5 });
      pen.beginPath();
      pen.arc(px, py, 30, 0, 2 * Math.PI);
      pen.stroke();
    }
  }
  pen.globalAlpha = 1;
  target.setAttribute("aria-label", `The window, enlarged, with the pixels in which its ${counted(pairs.length, "pair")} ${pairs.length === 1 ? "is" : "are"} born`);
  scaleBar(find("detail-bar"), target.clientWidth / side, target.clientWidth);
}

function caption(state, pairs, effects) {
  const into = find("caption"), sign = (colour, ring) => { make("span", into, { className: ring ? "mark ring" : "mark" }).style.cssText = `background: ${colour}; border: 1px solid #333`; };
  into.replaceChildren();
  if (!pairs.length) {
    into.append(hasPairs() ? "No pair is born in this window." : "The window, enlarged.");
    return;
  }
  into.append("Where its pairs are born: ");
  if (effects) {
    const still = effects.filter((effect) => effect === 0).length;
    sign(DATA.colours[state]);
    into.append(`speak for ${states[state]}, `);
    sign(against(state));
    into.append(`against it, the larger the more; ${still} of ${counted(pairs.length, "pair")} alone change nothing (small, white). `);
  }
  sign(effects ? NEUTRAL : DIAGRAM[0]);
  into.append("islands, ");
  sign(effects ? NEUTRAL : DIAGRAM[1], true);
  into.append("rings.");
}

/** The pairs that decide most. */
function list(into, at, state, own, pairs, effects, order) {
  const shown = order.slice(0, LISTED).filter((k) => effects[k] !== 0);
  if (!shown.length) {
    make("p", into, { textContent: "No pair alone changes the score." });
    return;
  }
  const table = make("table", into, { className: "pairs" });
  make("caption", table, { textContent: `The pairs that decide most: score and probability p of ${states[state]} with the pair minus those without it. These do not add up, to one another or to the table above: pairs decide together, and each is taken away alone.` });
  const head = make("tr", make("thead", table));
  for (const [text, right] of [["Pair", 0], ["What", 0], ["Birth, SD", 1], ["Death, SD", 1], ["Score", 1], ["p, %", 1]]) make("th", head, { textContent: text, scope: "col", className: right ? "r" : "" });
  const body = make("tbody", table);
  shown.forEach((k, n) => {
    const row = make("tr", body), pair = pairs[k], first = make("th", row, { scope: "row" });
    const button = make("button", first, { type: "button", className: "link", textContent: n + 1 });
    button.setAttribute("aria-label", `Mark pair ${n + 1} in the picture`);
    const choose = () => magnify(at, state, pairs, effects, k);
    button.addEventListener("click", choose);
    button.addEventListener("focus", choose);
    row.addEventListener("pointerenter", choose);
    const name = make("td", row);
    make("span", name, { className: pair.degree ? "mark ring" : "mark" }).style.background = colourOf(effects[k], state);
    name.append(describe(pair));
    make("td", row, { textContent: minus(pair.birth.toFixed(2)), className: "r" });
    make("td", row, { textContent: minus(pair.death.toFixed(2)), className: "r" });
    make("td", row, { textContent: signed(effects[k], 3), className: "r" });
    make("td", row, { textContent: signed(100 * (sigmoid(own) - sigmoid(own - effects[k])), 1), className: "r" });
  });
  body.addEventListener("pointerleave", () => magnify(at, state, pairs, effects, -1));
}

// ---- pointer and keys

function listen() {
  const fingers = new Map();
  let travelled = 0;
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const spread = () => { const [a, b] = [...fingers.values()]; return { gap: Math.hypot(a[0] - b[0], a[1] - b[1]), x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2 }; };

  canvas.addEventListener("wheel", (event) => {
    if (event.deltaY > 0 && view.scale <= whole() * 1.001) return; // everything is seen: the page scrolls
    event.preventDefault();
    zoom(Math.exp(-clamp(event.deltaY * (event.deltaMode ? 30 : 1), -250, 250) * 0.0022), ...at(event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!fingers.size) travelled = 0;
    fingers.set(event.pointerId, at(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event), before = fingers.get(event.pointerId);
    if (!before) { const place = toPlace(x, y); point(windowAt(place), place); return; }
    const was = fingers.size === 2 && spread();
    fingers.set(event.pointerId, [x, y]);
    travelled += Math.hypot(x - before[0], y - before[1]);
    if (fingers.size === 2) {
      const now = spread();
      view.x -= (now.x - was.x) / view.scale;
      view.y -= (now.y - was.y) / view.scale;
      zoom(now.gap / was.gap, now.x, now.y);
    } else if (travelled > 4) {
      canvas.classList.add("dragged");
      view.x -= (x - before[0]) / view.scale;
      view.y -= (y - before[1]) / view.scale;
      settle();
    }
  });
  const lift = (event) => {
    fingers.delete(event.pointerId);
    canvas.classList.remove("dragged");
  };
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerup", (event) => {
    const clicked = fingers.has(event.pointerId) && fingers.size === 1 && travelled <= 4;
    lift(event);
    if (!clicked) return;
    const place = toPlace(...at(event)), hit = windowAt(place);
    point(hit, place);
    if (hit) ask(hit);
  });

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (arrow && event.shiftKey) {
      view.x += (arrow[1] * width) / 8 / view.scale;
      view.y += (arrow[0] * height) / 8 / view.scale;
      settle();
    } else if (arrow) step(arrow);
    else if (event.key === "Enter" && current) ask(current);
    else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") show(0, 0, field[1], field[0]);
    else return;
    event.preventDefault();
  });
  document.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => {
    if (button.dataset.zoom === "all") show(0, 0, field[1], field[0]);
    else zoom(button.dataset.zoom === "in" ? 1.5 : 1 / 1.5);
  }));
  document.querySelectorAll("[data-region]").forEach((button) => button.addEventListener("click", () => {
    const region = DATA.regions[button.dataset.region], rim = 1.5 * grid.step;
    show(region.left_nm - rim, region.top_nm - rim, region.right_nm + rim, region.bottom_nm + rim);
    document.getElementById("map").scrollIntoView();
  }));
  find("opacity").addEventListener("input", opaque);
  find("what").addEventListener("change", () => {
    what = find("what").value;
    recolour();
    if (asked) ask(asked);
  });
  new ResizeObserver(() => { if (canvas.clientWidth !== width) resize(); }).observe(canvas);
  addEventListener("resize", resize);
}

/** Go to the next window in a direction, and keep it in view. */
function step([down, right]) {
  const from = current || windowAt(toPlace(width / 2, height / 2)) || { i: 0, j: 0 };
  const next = current ? { i: clamp(from.i + down, 0, grid.rows - 1), j: clamp(from.j + right, 0, grid.columns - 1) } : from;
  point(next);
  find("heard").textContent = said(next);
  const { x, y } = centre(next), [px, py] = toScreen(x, y);
  if (px < 0 || py < 0 || px > width || py > height) {
    view.x = x - width / 2 / view.scale;
    view.y = y - height / 2 / view.scale;
    settle();
  }
}

function opaque() {
  opacity = find("opacity").value / 100;
  find("opacity-value").textContent = `${find("opacity").value} %`;
  redraw();
}

/** Half the micrograph's size until few pixels are left, so that it stays smooth where it is shown small. */
function halved(image) {
  let [source, w, h] = [image, image.naturalWidth, image.naturalHeight];
  do {
    [w, h] = [Math.max(1, w >> 1), Math.max(1, h >> 1)];
    const half = Object.assign(document.createElement("canvas"), { width: w, height: h });
    half.getContext("2d").drawImage(source, 0, 0, w, h);
    source = half;
  } while (Math.max(w, h) > 2048);
  return source;
}

/** Stripes of two greys, as on the overlay. */
function stripes() {
  const tile = Object.assign(document.createElement("canvas"), { width: 10, height: 10 }), pen = tile.getContext("2d");
  const [dark, light] = DATA.hatching.map((grey) => `rgb(${[grey, grey, grey].map((c) => Math.round(255 * c)).join()})`);
  pen.fillStyle = light;
  pen.fillRect(0, 0, 10, 10);
  Object.assign(pen, { strokeStyle: dark, lineWidth: 3.5 });
  for (const k of [-10, 0, 10]) {
    pen.beginPath();
    pen.moveTo(k - 2, 12);
    pen.lineTo(k + 12, -2);
    pen.stroke();
  }
  return context.createPattern(tile, "repeat");
}

async function start() {
  [DATA.arrays] = await Promise.all([decoded(), micrograph.decode()]);
  document.body.classList.add("moving");
  small = halved(micrograph);
  hatching = stripes();
  const choice = find("what");
  make("option", choice, { value: "state", textContent: "most probable state" });
  states.forEach((state, k) => make("option", choice, { value: `p:${k}`, textContent: `probability of ${state}` }));
  make("option", choice, { value: "confidence", textContent: "confidence" });
  make("option", choice, { value: "abstain", textContent: "abstained, and why" });
  find("opacity").value = 100 * DATA.opacity;
  panels();
  const note = find("diagrams-note");
  if (hasPairs()) {
    for (const [degree, text] of [[0, "islands (degree 0) "], [1, "rings (degree 1). "]]) {
      make("span", note, { className: degree ? "mark ring" : "mark" }).style.background = DIAGRAM[degree];
      note.append(text);
    }
    note.append("Pairs beyond the edges are drawn on them.");
  } else {
    note.textContent = { none: "The model does not look at persistence diagrams.", many: "The diagrams are left out: the micrograph has too many pairs for a page.", unknown: "The diagrams were not kept with this map." }[DATA.pairs];
  }
  diagrams([]);
  if (!answers()) { // then nothing offers it
    document.getElementById("decided").hidden = true;
    const keys = document.getElementById("keys");
    keys.textContent = keys.textContent.replace(", a click asks a window what decided", "").replace(" Enter asks,", "");
  }
  listen();
  resize();
  opaque();
  recolour();
  document.body.dataset.ready = "";
}

start();
