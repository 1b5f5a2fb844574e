"use strict";
// What moves on the page. Each part is drawn when it comes into view, so that the page opens at once.

const DATA = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000"];
const POINTER = matchMedia("(hover: hover)").matches; // a finger scrolls the page over a plot, a mouse zooms in it
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: POINTER ? "hover" : false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
const FONT = { family: getComputedStyle(document.body).fontFamily, size: 13, color: "#1b2127" };
const BIRTH = "#00c853";

const find = (card, role) => card.querySelector(`[data-role="${role}"]`);
const colourOf = (state) => COLOURS[Math.max(0, DATA.states.indexOf(state)) % COLOURS.length];
const nameOf = (one) => (one.state ? `${one.state} · ${one.specimen}` : one.specimen);
const minus = (x) => String(x).replace("-", "−");
const signed = (x) => (x > 0 ? "+" : x < 0 ? "−" : "") + Math.abs(x);
const axis = (title, more) => ({ title: { text: title }, linecolor: "#1b2127", ticks: "inside", showline: true, mirror: true, zeroline: false, gridcolor: "#edf0f3", ...more });
const layout = (more) => ({ font: FONT, margin: { l: 62, r: 14, t: 14, b: 50 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff", hovermode: "closest", dragmode: POINTER ? "zoom" : false, ...more });
const make = (tag, into, properties) => into.appendChild(Object.assign(document.createElement(tag), properties));

/** Plotly, unpacked and run when it is first needed: base64 of deflated text. */
let unpacked;
function plotly() {
  unpacked ??= (async () => {
    const bytes = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
    make("script", document.head, { textContent: text });
    return window.Plotly;
  })();
  return unpacked;
}

/** A scale bar of a round length about a quarter of a field of `field` Å. */
function scaleBar(bar, field) {
  const length = [200, 100, 50, 20, 10, 5, 2, 1].find((x) => x <= field * 0.32) || field / 4;
  bar.style.width = `${(100 * length) / field}%`;
  bar.textContent = length >= 10 ? `${length / 10} nm` : `${length} Å`;
}

/** Grey levels of a crop, once decoded. */
function greyOf(crop) {
  crop.levels ??= Uint8Array.from(atob(crop.grey), (c) => c.charCodeAt(0));
  return crop.levels;
}

// ---- atoms and an optimal volume

/** Points and triangles of a unit sphere: an icosahedron whose faces are divided in four, `times` times over. */
function ball(times) {
  const t = (1 + Math.sqrt(5)) / 2;
  const points = [[-1, t, 0], [1, t, 0], [-1, -t, 0], [1, -t, 0], [0, -1, t], [0, 1, t], [0, -1, -t], [0, 1, -t], [t, 0, -1], [t, 0, 1], [-t, 0, -1], [-t, 0, 1]];
  let faces = [[0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2], [10, 7, 6], [7, 1, 8],
    [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9], [4, 9, 5], [2, 4, 11], [6, 2, 10], [8, 6, 7], [9, 8, 1]];
  const onSphere = (p) => p.map((x) => x / Math.hypot(...p));
  points.forEach((p, k) => { points[k] = onSphere(p); });
  for (let n = 0; n < times; n++) {
    const middles = new Map();
    const middle = (a, b) => {
      const key = a < b ? `${a},${b}` : `${b},${a}`;
      if (!middles.has(key)) middles.set(key, points.push(onSphere(points[a].map((x, k) => x + points[b][k]))) - 1);
      return middles.get(key);
    };
    faces = faces.flatMap(([a, b, c]) => {
      const [d, e, f] = [middle(a, b), middle(b, c), middle(c, a)];
      return [[a, d, f], [b, e, d], [c, f, e], [d, e, f]];
    });
  }
  return { points, faces };
}
const BALLS = { 1: ball(1), 2: ball(2) };

/** Spheres around some centres as one mesh. */
function spheres(centres, radius, colour, fine) {
  const { points, faces } = BALLS[fine];
  const [x, y, z, i, j, k] = [[], [], [], [], [], []];
  for (const [cx, cy, cz] of centres) {
    const first = x.length;
    for (const [px, py, pz] of points) { x.push(cx + radius * px); y.push(cy + radius * py); z.push(cz + radius * pz); }
    for (const [a, b, c] of faces) { i.push(first + a); j.push(first + b); k.push(first + c); }
  }
  const lighting = { ambient: 0.55, diffuse: 0.65, specular: 0.25, roughness: 0.5, fresnel: 0.1 };
  return { type: "mesh3d", x, y, z, i, j, k, color: colour, flatshading: false, lighting, lightposition: { x: 2e3, y: 3e3, z: 1e4 }, hoverinfo: "skip" };
}

/** One trace of separate line segments between points. */
function segments(points, edges, line, more) {
  const at = (k) => edges.flatMap(([a, b]) => [points[a][k], points[b][k], null]);
  return { type: "scatter3d", mode: "lines", x: at(0), y: at(1), z: at(2), line, hoverinfo: "skip", showlegend: false, ...more };
}

function atoms(card) {
  const [plot, which, volume, kind, status] = ["plot", "specimen", "volume", "kind", "status"].map((role) => find(card, role));
  const present = new Set(DATA.atoms.flatMap((one) => one.elements));
  const elements = [...new Set([...Object.keys(DATA.elements), ...present])].filter((element) => present.has(element));
  const shape = DATA.atoms[0].degree === 2 ? "cavity" : "ring";
  const colour = (element) => DATA.elements[element] || "#888";
  const size = (element) => (elements.indexOf(element) === 0 ? 1 : 0.72);
  const eyes = { beam: [0, 0, 2], side: [1.6, -1.3, 0.7], close: [0.78, -0.63, 0.34] };
  let view = "side", now;

  /** The camera of a view; the axes are one unit long and their middle is 0. A narrow plot is seen from farther. */
  function camera(range, part) {
    const xyz = (values) => ({ x: values[0], y: values[1], z: values[2] });
    const name = view === "close" && !part ? "side" : view;
    const far = Math.max(1, plot.clientHeight / plot.clientWidth);
    const middle = (k) => part.points.reduce((sum, point) => sum + point[k], 0) / part.points.length;
    const centre = name === "close" ? [0, 1, 2].map((k) => (middle(k) - range[0]) / (range[1] - range[0]) - 0.5) : [0, 0, 0];
    const eye = eyes[name].map((x, k) => far * x + centre[k]);
    return { eye: xyz(eye), center: xyz(centre), up: xyz(name === "beam" ? [0, 1, 0] : [0, 0, 1]), projection: { type: "perspective" } };
  }
  function fill() {
    const one = DATA.atoms[which.value];
    volume.replaceChildren();
    one.volumes.forEach((v, k) => make("option", volume, { value: k, textContent: `${k + 1}: born ${minus(v.birth)}, dies ${minus(v.death)} Å²` }));
    make("option", volume, { value: "", textContent: one.volumes.length ? "none" : "none drawn in this cube" });
  }
  function traces(one, part) {
    const found = [segments(one.positions, one.bonds, { color: "#b9c2cb", width: 2 })];
    for (const element of elements) {
      const here = one.positions.filter((_, k) => one.elements[k] === element);
      found.push({ ...spheres(here, (part ? 0.25 : 0.5) * size(element), colour(element), 1), name: element, showlegend: !part, legendgroup: element });
    }
    if (part) {
      for (const element of elements) {
        const here = part.points.filter((_, k) => part.elements[k] === element);
        if (here.length) found.push({ ...spheres(here, 0.7 * size(element), colour(element), 2), name: element, showlegend: true, legendgroup: element });
      }
      const at = (points, k) => points.map((point) => point[k]);
      const [x, y, z] = [0, 1, 2].map((k) => at(part.points, k)), [i, j, k] = [0, 1, 2].map((n) => at(part.faces, n));
      found.push({ type: "mesh3d", x, y, z, i, j, k, color: colourOf(one.state), opacity: 0.4, flatshading: true, hoverinfo: "skip" });
      found.push(segments(part.points, part.edges, { color: colourOf(one.state), width: 12 }, { name: shape, showlegend: true }));
    }
    const [a, b] = [0, one.cube];
    const corners = [[a, a, a], [b, a, a], [b, b, a], [a, b, a], [a, a, b], [b, a, b], [b, b, b], [a, b, b]];
    const sides = [[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [0, 4], [1, 5], [2, 6], [3, 7]];
    return [...found, segments(corners, sides, { color: "#55606b", width: 3 })];
  }
  function draw() {
    const one = DATA.atoms[which.value];
    const pair = volume.value === "" ? null : one.volumes[volume.value];
    kind.querySelector('[value="stable"]').disabled = !pair?.stable;
    if (pair && !pair[kind.value]) kind.value = "optimal";
    const part = pair?.[kind.value];
    const coordinates = [...one.positions, ...(part?.points || [])].flat();
    const range = [Math.min(0, ...coordinates) - 1, Math.max(one.cube, ...coordinates) + 1];
    const side = (name) => ({ title: { text: `${name}, Å` }, range, backgroundcolor: "#fff", gridcolor: "#edf0f3", zeroline: false, showspikes: false, dtick: one.cube / 4 });
    if (view) now = camera(range, part);
    const scene = { xaxis: side("x"), yaxis: side("y"), zaxis: side("z"), aspectmode: "cube", camera: now, dragmode: "orbit" };
    const counted = part ? elements.map((e) => [part.elements.filter((x) => x === e).length, e]).filter(([n]) => n).map(([n, e]) => `${n} ${e}`) : [];
    status.textContent = (part
      ? `${nameOf(one)}: a ${shape} born at ${minus(pair.birth)} Å² and filled at ${minus(pair.death)} Å²; its ${kind.value} volume has ${part.points.length} atoms (${counted.join(", ")}).`
      : `${nameOf(one)}: ${one.positions.length} atoms in the cube of ${one.cube} Å.`)
      + (one.count == null ? "" : ` The specimen has ${one.count.toPrecision(3)} pairs per nm³ in the region of figure 2.`);
    return Plotly.react(plot, traces(one, part), layout({ scene, margin: { l: 0, r: 0, t: 0, b: 0 }, legend: { x: 0.01, y: 0.99, bgcolor: "rgba(255,255,255,.8)" } }), { ...CONFIG, scrollZoom: true });
  }
  which.addEventListener("change", () => { fill(); draw(); });
  volume.addEventListener("change", draw);
  kind.addEventListener("change", draw);
  card.querySelectorAll("[data-view]").forEach((b) => b.addEventListener("click", () => { view = b.dataset.view; draw(); }));
  card.querySelectorAll("[data-turn]").forEach((b) => b.addEventListener("click", () => {
    const [a, c] = now.up.z > 0.5 ? ["x", "y"] : ["z", "x"], angle = (Number(b.dataset.turn) * Math.PI) / 12;
    const [p, q] = [now.eye[a] - now.center[a], now.eye[c] - now.center[c]];
    const eye = { ...now.eye, [a]: now.center[a] + p * Math.cos(angle) - q * Math.sin(angle), [c]: now.center[c] + p * Math.sin(angle) + q * Math.cos(angle) };
    Plotly.relayout(plot, { "scene.camera": { ...now, eye } });
  }));
  fill();
  // a camera that was moved by hand stays where it is
  return draw().then(() => plot.on("plotly_relayout", (change) => { if (change["scene.camera"]) { now = change["scene.camera"]; view = null; } }));
}

// ---- a pair of the diagram on its crop

/** Draw a crop `FINE` times as large, and over it the pixels of run lengths in a colour. */
const FINE = 4;
function paint(canvas, levels, side, region, colour) {
  const small = new OffscreenCanvas(side, side), image = new ImageData(side, side);
  const rgb = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
  levels.forEach((level, p) => image.data.set([level, level, level, 255], 4 * p));
  let end = 0;
  for (let k = 0; k < region.length; k += 2) {
    const start = end + region[k];
    end = start + region[k + 1];
    for (let p = start; p < end; p++) rgb.forEach((value, c) => { image.data[4 * p + c] = 0.2 * image.data[4 * p + c] + 0.8 * value; });
  }
  small.getContext("2d").putImageData(image, 0, 0);
  canvas.width = canvas.height = FINE * side;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  return context;
}

function pairs(card) {
  const [plot, which, degree, slider, canvas, bar, status] = ["plot", "crop", "degree", "pair", "canvas", "bar", "status"].map((role) => find(card, role));
  const now = () => { const crop = DATA.crops[which.value]; return [crop, crop.degrees[degree.value]]; };

  function choose(k, marked = true) {
    const [crop, found] = now();
    const [birth, death, birthRow, birthColumn, deathRow, deathColumn] = found.pairs[k] || [];
    const context = paint(canvas, greyOf(crop), crop.side, found.regions[k] || [], colourOf(crop.state));
    if (!found.pairs[k]) { status.textContent = "This crop has no pairs of this degree."; return; }
    slider.value = k;
    const mark = (row, column, colour) => {
      context.beginPath();
      context.arc((column + 0.5) * FINE, (row + 0.5) * FINE, (FINE * crop.side) / 110, 0, 2 * Math.PI);
      context.lineWidth = (FINE * crop.side) / 400;
      Object.assign(context, { fillStyle: colour, strokeStyle: "#000" });
      context.fill();
      context.stroke();
    };
    mark(birthRow, birthColumn, BIRTH);
    const area = found.areas[k], size = DATA.pixel_A ? ` = ${(area * DATA.pixel_A ** 2).toPrecision(3)} Å²` : "";
    const text = `Pair ${k + 1} of ${found.pairs.length}: ${degree.value === "0" ? "an island" : "a ring"} born at grey level ${birth} (row ${birthRow}, column ${birthColumn}) that dies at ${death} (row ${deathRow}, column ${deathColumn}); lifetime ${Math.abs(birth - death)}; region of ${area} px${size}.`;
    status.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    canvas.setAttribute("aria-label", text);
    if (marked) Plotly.restyle(plot, { x: [[birth]], y: [[death]] }, [3]);
  }
  function draw() {
    const [crop, found] = now();
    slider.max = Math.max(0, found.pairs.length - 1);
    scaleBar(bar, crop.side * (DATA.pixel_A || 1));
    bar.hidden = !DATA.pixel_A;
    const colour = colourOf(crop.state), x = found.pairs.map((p) => p[0]), y = found.pairs.map((p) => p[1]);
    const traces = [
      { x: [0, 255], y: [0, 255], mode: "lines", line: { color: "#55606b", width: 1, dash: "dot" }, hoverinfo: "skip" },
      { x: found.rest[0], y: found.rest[1], mode: "markers", marker: { size: 4, color: "#c5ccd3" }, hoverinfo: "skip" },
      { x, y, mode: "markers", marker: { size: 8, color: colour, opacity: 0.65, line: { width: 0.5, color: "#fff" } }, hovertemplate: "born %{x}, dies %{y}<extra></extra>" },
      { x: x.slice(0, 1), y: y.slice(0, 1), mode: "markers", marker: { size: 14, color: BIRTH, line: { width: 2, color: "#000" } }, hoverinfo: "skip" },
    ];
    const range = [-5, 260];
    const shape = layout({ showlegend: false, xaxis: axis("birth, grey level", { range, constrain: "domain" }), yaxis: axis("death, grey level", { range, scaleanchor: "x", constrain: "domain" }) });
    slider.value = 0;
    choose(0, false);
    return Plotly.react(plot, traces, shape, CONFIG);
  }
  [which, degree].forEach((input) => input.addEventListener("change", () => { moved = false; draw(); }));
  // Plotly tells of what is under a resting mouse again when it redraws; only a mouse that moves points at something
  let moved = false;
  plot.addEventListener("pointermove", () => { moved = true; });
  slider.addEventListener("input", () => { moved = false; choose(Number(slider.value)); });
  return draw().then(() => {
    const point = (event) => { if (moved && event.points[0].curveNumber === 2) choose(event.points[0].pointNumber); };
    plot.on("plotly_hover", point);
    plot.on("plotly_click", (event) => { moved = true; point(event); });
  });
}

// ---- defocus

function defocus(card) {
  const [slider, value, pictures] = ["defocus", "value", "pictures"].map((role) => find(card, role));
  const defoci = [...new Set(DATA.micrographs.map((m) => m.defocus))].sort((a, b) => a - b);
  const specimens = [...new Set(DATA.micrographs.map((m) => m.specimen))];
  const shown = specimens.map((specimen) => {
    const figure = make("figure", pictures), frame = make("div", figure, { className: "framed" });
    return { specimen, image: make("img", frame), bar: make("span", frame, { className: "bar" }), caption: make("figcaption", figure) };
  });
  slider.max = defoci.length - 1;
  slider.value = defoci.reduce((best, d, k) => (Math.abs(d) < Math.abs(defoci[best]) ? k : best), 0);
  function draw() {
    const now = defoci[slider.value];
    value.textContent = `${signed(now)} Å`;
    slider.setAttribute("aria-valuetext", value.textContent);
    for (const { specimen, image, bar, caption } of shown) {
      const one = DATA.micrographs.find((m) => m.specimen === specimen && m.defocus === now);
      image.hidden = bar.hidden = !one;
      if (!one) { caption.textContent = `${specimen}: no micrograph at this defocus`; continue; }
      image.src = one.image;
      image.alt = `Micrograph of ${nameOf(one)} at a defocus of ${value.textContent}`;
      scaleBar(bar, one.field);
      caption.textContent = `${nameOf(one)}${one.contrast == null ? "" : `; contrast ${one.contrast.toFixed(3)}`}`;
    }
  }
  slider.addEventListener("input", draw);
  draw();
}

// ---- the filtration

/** Islands and rings of a crop at every threshold: 4-connected pixels by union-find, rings by Euler's formula. */
function betti(levels, side, superlevel) {
  const parent = new Int32Array(levels.length).fill(-1);
  const root = (p) => { while (parent[p] !== p) p = parent[p] = parent[parent[p]]; return p; };
  const byLevel = Array.from({ length: 256 }, () => []);
  levels.forEach((level, p) => byLevel[level].push(p));
  const islands = new Array(256), rings = new Array(256);
  const within = (row, column) => row >= 0 && column >= 0 && row < side && column < side && parent[row * side + column] >= 0;
  let count = 0, euler = 0;
  for (let step = 0; step < 256; step++) {
    const level = superlevel ? 255 - step : step;
    for (const p of byLevel[level]) {
      const row = Math.floor(p / side), column = p % side;
      parent[p] = p;
      count++; euler++;
      for (const [r, c] of [[row - 1, column], [row + 1, column], [row, column - 1], [row, column + 1]]) {
        if (!within(r, c)) continue;
        euler--;
        const a = root(p), b = root(r * side + c);
        if (a !== b) { parent[a] = b; count--; }
      }
      for (const [dr, dc] of [[-1, -1], [-1, 1], [1, -1], [1, 1]])
        if (within(row + dr, column + dc) && within(row + dr, column) && within(row, column + dc)) euler++;
    }
    islands[level] = count;
    rings[level] = count - euler;
  }
  return { islands, rings };
}

function threshold(card) {
  const [slider, value, pictures, plot, play] = ["threshold", "value", "pictures", "plot", "play"].map((role) => find(card, role));
  const superlevel = DATA.filtration === "superlevel";
  const shown = DATA.crops.map((crop) => {
    const figure = make("figure", pictures), frame = make("div", figure, { className: "framed" });
    const one = { crop, canvas: make("canvas", frame), bar: make("span", frame, { className: "bar" }), caption: make("figcaption", figure), ...betti(greyOf(crop), crop.side, superlevel) };
    one.canvas.setAttribute("role", "img");
    scaleBar(one.bar, crop.side * (DATA.pixel_A || 1));
    one.bar.hidden = !DATA.pixel_A;
    return one;
  });
  slider.value = shown[0].islands.indexOf(Math.max(...shown[0].islands));
  const levels = Array.from({ length: 256 }, (_, k) => k);
  const line = (name, values, one, dash) => ({ x: levels, y: values, name: `${nameOf(one.crop)}: ${name}`, mode: "lines", line: { color: colourOf(one.crop.state), width: 2, dash }, hovertemplate: "%{y} at %{x}<extra></extra>" });
  const at = () => [{ type: "line", x0: slider.value, x1: slider.value, y0: 0, y1: 1, yref: "paper", line: { color: "#1b2127", width: 1.5 } }];
  function draw() {
    const t = Number(slider.value);
    value.textContent = `${superlevel ? "≥" : "≤"} ${t}`;
    for (const { crop, canvas, caption, islands, rings } of shown) {
      const grey = greyOf(crop);
      canvas.width = canvas.height = crop.side;
      const image = new ImageData(crop.side, crop.side);
      new Uint32Array(image.data.buffer).forEach((_, p, all) => { all[p] = (superlevel ? grey[p] >= t : grey[p] <= t) ? 0xffffffff : 0xff000000; });
      canvas.getContext("2d").putImageData(image, 0, 0);
      const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
      caption.textContent = `${nameOf(crop)}: ${count(islands[t], "white island")}, ${count(rings[t], "ring")}`;
      canvas.setAttribute("aria-label", caption.textContent);
    }
    slider.setAttribute("aria-valuetext", `${t}; ${shown.map((one) => one.caption.textContent).join("; ")}`);
    if (plot.data) Plotly.relayout(plot, { shapes: at() });
  }
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "▶ run"; };
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    play.textContent = "■ stop";
    const step = superlevel ? -2 : 2;
    if (superlevel ? Number(slider.value) <= 1 : Number(slider.value) >= 254) slider.value = superlevel ? 255 : 0;
    timer = setInterval(() => { slider.value = Number(slider.value) + step; draw(); if (superlevel ? slider.value <= 1 : slider.value >= 254) stop(); }, 60);
  });
  slider.addEventListener("input", () => { stop(); draw(); });
  draw();
  const traces = shown.flatMap((one) => [line("islands", one.islands, one, "solid"), line("rings", one.rings, one, "dot")]);
  const x = axis("threshold, grey level", { range: superlevel ? [255, 0] : [0, 255] });
  return Plotly.react(plot, traces, layout({ shapes: at(), xaxis: x, yaxis: axis("number", { rangemode: "tozero" }), legend: { orientation: "h", y: 1.02, yanchor: "bottom" } }), CONFIG);
}

// ---- curves of the state checks

const LABELS = { temperature_K: ["temperature", "temperature, K"], pressure_GPa: ["pressure", "pressure, GPa"], density_g_cm3: ["density", "density, g/cm³"] };

function checks(card) {
  const [plot, curve, which] = ["plot", "curve", "which"].map((role) => find(card, role));
  const names = [...new Set(DATA.checks.flatMap((one) => Object.keys(one.curves)))];
  if (!DATA.checks.some((one) => one.state)) which.value = "all";
  names.forEach((name) => make("option", curve, { value: name, textContent: LABELS[name]?.[0] || name }));
  function draw() {
    const name = curve.value, distribution = name.startsWith("g(r)");
    const shown = DATA.checks.filter((one) => one.curves[name] && (which.value === "all" || one.state));
    const dashes = ["solid", "dash", "dot", "dashdot"];
    const traces = shown.map((one, k) => {
      const [x, y] = one.curves[name], alike = shown.filter((other, n) => n < k && other.state === one.state).length;
      const colour = one.state ? colourOf(one.state) : `hsl(${(alike * 47) % 360} 12% ${35 + (alike % 4) * 12}%)`;
      return { x, y, name: nameOf(one), mode: "lines", line: { color: colour, width: 1.6, dash: dashes[alike % 4] } };
    });
    const above = { orientation: "h", y: 1.02, yanchor: "bottom" };
    return Plotly.react(plot, traces, layout({ xaxis: axis(distribution ? "r, Å" : "time, ps"), yaxis: axis(LABELS[name]?.[1] || name, distribution ? { rangemode: "tozero" } : {}), legend: above, showlegend: true }), CONFIG);
  }
  [curve, which].forEach((input) => input.addEventListener("change", draw));
  return draw();
}

// ---- the page

const PARTS = { "x-atoms": atoms, "x-pairs": pairs, "x-defocus": defocus, "x-threshold": threshold, "x-checks": checks };
const waiting = new Map(Object.entries(PARTS).map(([id, start]) => [document.getElementById(id), start]).filter(([card]) => card?.querySelector("[data-role]")));

function start(card) {
  const begin = waiting.get(card);
  if (!begin) return;
  waiting.delete(card);
  plotly().then(() => begin(card)).then(() => { card.dataset.ready = "yes"; });
}
const seen = new IntersectionObserver((entries) => entries.filter((e) => e.isIntersecting).forEach((e) => { seen.unobserve(e.target); start(e.target); }), { rootMargin: "300px" });
waiting.forEach((_, card) => seen.observe(card));
window.addEventListener("beforeprint", () => { document.body.classList.remove("chaptered"); [...waiting.keys()].forEach(start); });
window.addEventListener("afterprint", () => document.body.classList.add("chaptered"));

/** Show the chapter that holds what the address names, and that place in it. */
function turn() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const chapters = [...document.querySelectorAll(".chapter")], now = target?.closest(".chapter") || chapters[0];
  document.body.classList.add("chaptered");
  chapters.forEach((chapter) => chapter.classList.toggle("now", chapter === now));
  document.querySelectorAll("nav a").forEach((link) => {
    if (link.hash === `#${now.id}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  });
  target?.scrollIntoView();
}
window.addEventListener("hashchange", turn);
turn();

const table = document.querySelector("table.parameters");
document.querySelector('[data-role="filter"]')?.addEventListener("change", (event) => { table.dataset.filter = event.target.value; });

const large = document.getElementById("large");
document.querySelectorAll(".zoom").forEach((button) => button.addEventListener("click", () => {
  const image = large.querySelector("img"), small = button.querySelector("img");
  Object.assign(image, { src: small.src, alt: small.alt });
  large.showModal();
}));
