// What lies over the micrograph: the labels, and the map.

import { clamp, drawnBy, redraw, view } from "./view.js";

const SIDE = 512; // pixels of a tile of labels; there is one only where there are labels
const canvas = document.getElementById("over"), pen = canvas.getContext("2d");
const screen = document.createElement("canvas"), mask = screen.getContext("2d");

export const shown = { labels: true, map: true, labelsOpacity: 0.55, mapOpacity: 0.45 };
let rows = 0, columns = 0, pixels = new Uint8Array(0), table = new Uint32Array(256), hatching = null;
let rims = new Uint32Array(256); // colours of the labels' outlines
const tiles = new Map();
let map = null, over = null, abstained = null;

const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
const made = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

// ---- labels

/** Take the colours of the states. */
export function colours(states) {
  [table, rims] = [new Uint32Array(256), new Uint32Array(256)];
  for (const { number, colour } of states) {
    const [r, g, b] = rgb(colour);
    const word = (opacity, factor) => ((opacity << 24) | ((b * factor) << 16) | ((g * factor) << 8) | (r * factor)) >>> 0;
    table[number] = word(200, 1);
    rims[number] = word(255, 0.55);
  }
  tiles.clear();
  paint(0, 0, rows, columns);
  recolour(states);
}

/** Show the labels of a micrograph. */
export function labels(height, width, bytes) {
  [rows, columns, pixels] = [height, width, bytes];
  tiles.clear();
  paint(0, 0, rows, columns);
}

/** Replace the labels in a box: top, left, bottom, right. */
export function patch([top, left, bottom, right], bytes) {
  const width = right - left;
  for (let row = top; row < bottom; row++) pixels.set(bytes.subarray((row - top) * width, (row - top + 1) * width), row * columns + left);
  paint(top, left, bottom, right);
}

/** The label of a pixel. */
export const labelAt = (x, y) => (x >= 0 && y >= 0 && x < columns && y < rows ? pixels[Math.floor(y) * columns + Math.floor(x)] : 0);
/** All labels, for tests. */
export const allLabels = () => pixels;

/** Draw a part of the labels into their tiles; pixels at the edge of a label are darker. */
function paint(top, left, bottom, right) {
  [top, left, bottom, right] = [Math.max(top - 1, 0), Math.max(left - 1, 0), Math.min(bottom + 1, rows), Math.min(right + 1, columns)];
  for (let row = Math.floor(top / SIDE); row * SIDE < bottom; row++) {
    for (let column = Math.floor(left / SIDE); column * SIDE < right; column++) {
      const y = Math.max(row * SIDE, top), x = Math.max(column * SIDE, left);
      const height = Math.min((row + 1) * SIDE, bottom) - y, width = Math.min((column + 1) * SIDE, right) - x;
      const image = new ImageData(width, height), words = new Uint32Array(image.data.buffer);
      let any = false;
      for (let i = 0, k = 0; i < height; i++) {
        for (let j = (y + i) * columns + x, end = j + width; j < end; j++, k++) {
          const label = pixels[j];
          if (!label) continue;
          const inside = pixels[j - 1] === label && pixels[j + 1] === label && pixels[j - columns] === label && pixels[j + columns] === label;
          words[k] = inside ? table[label] : rims[label];
          any = true;
        }
      }
      const key = `${row}/${column}`;
      if (!any && !tiles.has(key)) continue;
      if (!tiles.has(key)) tiles.set(key, Object.assign(made(SIDE, SIDE), { row, column }));
      tiles.get(key).getContext("2d").putImageData(image, x - column * SIDE, y - row * SIDE);
    }
  }
  redraw();
}

// ---- the map

/** Show a map, with its bytes: probabilities, then whether a window abstains; null shows none. */
export function showMap(message, bytes, states) {
  map = message;
  if (map) {
    const size = map.rows * map.columns;
    map.probability = bytes.subarray(0, size * map.states.length);
    map.abstain = bytes.subarray(size * map.states.length);
    [over, abstained] = [made(map.columns, map.rows), made(map.columns, map.rows)];
    recolour(states);
  }
  redraw();
}

export const theMap = () => map;

/** The window at a place of the micrograph: the states' probabilities, 0 to 1, and whether it abstains; null beyond. */
export function windowAt(x, y) {
  if (!map) return null;
  const i = Math.round((y - map.origin[1]) / map.step), j = Math.round((x - map.origin[0]) / map.step);
  if (i < 0 || j < 0 || i >= map.rows || j >= map.columns) return null;
  const k = i * map.columns + j, n = map.states.length;
  return { abstain: map.abstain[k] > 0, probability: map.states.map((number, m) => [number, map.probability[k * n + m] / 255]) };
}

/** The share of each state in the map, by number; 0 is what abstains. */
export function shares() {
  const counts = new Map([[0, 0], ...map.states.map((number) => [number, 0])]), n = map.states.length;
  map.abstain.forEach((abstains, k) => {
    let best = 0;
    for (let m = 1; m < n; m++) if (map.probability[k * n + m] > map.probability[k * n + best]) best = m;
    const number = abstains ? 0 : map.states[best];
    counts.set(number, counts.get(number) + 1 / map.abstain.length);
  });
  return counts;
}

/** Colour every window: by its likeliest state, the more opaque the surer. */
function recolour(states) {
  if (!map) return;
  const colour = new Map(states.map((state) => [state.number, rgb(state.colour)])), n = map.states.length;
  const image = new ImageData(map.columns, map.rows), holes = new ImageData(map.columns, map.rows);
  for (let k = 0; k < map.abstain.length; k++) {
    if (map.abstain[k]) { holes.data[4 * k + 3] = 255; continue; }
    let best = 0;
    for (let m = 1; m < n; m++) if (map.probability[k * n + m] > map.probability[k * n + best]) best = m;
    const sure = clamp((n * map.probability[k * n + best]) / 255 - 1, 0, n - 1) / Math.max(n - 1, 1);
    image.data.set([...(colour.get(map.states[best]) || [128, 128, 128]), 90 + 165 * sure], 4 * k);
  }
  over.getContext("2d").putImageData(image, 0, 0);
  abstained.getContext("2d").putImageData(holes, 0, 0);
}

function stripes() {
  const tile = made(10, 10), brush = tile.getContext("2d");
  brush.fillStyle = "#cccccc";
  brush.fillRect(0, 0, 10, 10);
  Object.assign(brush, { strokeStyle: "#595959", lineWidth: 3.5 });
  for (const k of [-10, 0, 10]) {
    brush.beginPath();
    brush.moveTo(k - 2, 12);
    brush.lineTo(k + 12, -2);
    brush.stroke();
  }
  return pen.createPattern(tile, "repeat");
}

function draw() {
  const scale = view.scale * view.ratio;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (map && shown.map) {
    const [x, y] = [(map.origin[0] - map.step / 2 - view.x) * scale, (map.origin[1] - map.step / 2 - view.y) * scale];
    const [width, height] = [map.columns * map.step * scale, map.rows * map.step * scale];
    pen.globalAlpha = shown.mapOpacity;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(over, x, y, width, height);
    if (map.anyAbstained ??= map.abstain.some((k) => k)) {
      if (screen.width !== canvas.width || screen.height !== canvas.height) [screen.width, screen.height] = [canvas.width, canvas.height];
      mask.globalCompositeOperation = "copy";
      mask.imageSmoothingEnabled = false;
      mask.drawImage(abstained, x, y, width, height);
      mask.globalCompositeOperation = "source-in";
      mask.fillStyle = hatching ??= stripes();
      mask.fillRect(0, 0, screen.width, screen.height);
      pen.drawImage(screen, 0, 0);
    }
  }
  if (shown.labels) {
    pen.globalAlpha = shown.labelsOpacity;
    pen.imageSmoothingEnabled = scale < 1;
    for (const tile of tiles.values()) {
      const x = Math.round((tile.column * SIDE - view.x) * scale), x2 = Math.round(((tile.column + 1) * SIDE - view.x) * scale);
      const y = Math.round((tile.row * SIDE - view.y) * scale), y2 = Math.round(((tile.row + 1) * SIDE - view.y) * scale);
      if (x2 > 0 && y2 > 0 && x < canvas.width && y < canvas.height) pen.drawImage(tile, x, y, x2 - x, y2 - y);
    }
  }
  pen.globalAlpha = 1;
}

drawnBy(draw);
