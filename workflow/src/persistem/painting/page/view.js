// The view of a micrograph: zoom and pan, its tiles, the scale bar.

const MOST_ZOOM = 40, KEPT = 320; // screen pixels in a pixel; tiles in memory
const canvas = document.getElementById("image"), pen = canvas.getContext("2d", { alpha: false });
const stage = document.getElementById("stage"), bar = document.getElementById("scale");
const canvases = ["image", "over", "hand"].map((id) => document.getElementById(id));

export const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
/** The place of the upper left corner, in pixels of the micrograph, and CSS pixels in one of them. */
export const view = { x: 0, y: 0, scale: 1, width: 1, height: 1, ratio: 1 };

const tiles = new Map();
let image = null, number = 0, side = 512, pending = false, all = false;
const below = [], above = [];

/** Draw with this function whenever the view changes, or if it is `light` also whenever the hand has moved. */
export const drawnBy = (draw, light = false) => (light ? above : below).push(draw);
export const toScreen = (x, y) => [(x - view.x) * view.scale, (y - view.y) * view.scale];
export const toImage = (px, py) => [view.x + px / view.scale, view.y + py / view.scale];
const whole = () => Math.min(view.width / image.columns, view.height / image.rows) * 0.98;

/** Show a micrograph, as the server lists it, whole. */
export function open(about, index, tile) {
  for (const bitmap of tiles.values()) if (bitmap.close) bitmap.close();
  tiles.clear();
  [image, number, side] = [about, index, tile];
  fit();
}

/** Know what the server says anew of the micrograph that is shown. */
export function renew(about) {
  image = about;
  redraw();
}

export function fit() {
  view.scale = whole();
  go(image.columns / 2, image.rows / 2);
}

/** Put a place into the middle, at a scale. */
export function go(x, y, scale = view.scale) {
  view.scale = scale;
  view.x = x - view.width / 2 / view.scale;
  view.y = y - view.height / 2 / view.scale;
  settle();
}

export function pan(dx, dy) {
  view.x -= dx / view.scale;
  view.y -= dy / view.scale;
  settle();
}

/** Zoom by a factor about a point of the screen, by default the middle. */
export function zoom(factor, px = view.width / 2, py = view.height / 2) {
  const [x, y] = toImage(px, py);
  view.scale = clamp(view.scale * factor, Math.min(whole(), 1), MOST_ZOOM);
  view.x = x - px / view.scale;
  view.y = y - py / view.scale;
  settle();
}

/** Keep some of the micrograph in view. */
function settle() {
  if (!image) return;
  for (const [axis, extent, size] of [["x", image.columns, view.width], ["y", image.rows, view.height]]) {
    const seen = size / view.scale;
    view[axis] = seen >= extent ? clamp(view[axis], extent - seen, 0) : clamp(view[axis], -seen / 3, extent - (2 * seen) / 3);
  }
  redraw();
}

export function redraw() {
  all = true;
  stir();
}

/** Draw what the hand does, and what is below it only if that has changed. */
export function stir() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    const everything = all;
    pending = all = false;
    if (!image) return;
    if (everything) for (const draw of [drawImage, ...below]) draw();
    for (const draw of above) draw();
  });
}

/** A tile that is there, or null while it is fetched. */
function tileAt(level, row, column) {
  const key = `${level}/${row}/${column}`, found = tiles.get(key);
  if (found instanceof ImageBitmap) {
    tiles.delete(key); // the last ones used are at the end
    tiles.set(key, found);
    return found;
  }
  if (!found) {
    const loading = fetch(`tiles/${number}/${key}.png`).then((answer) => (answer.ok ? answer.blob() : Promise.reject(answer)));
    tiles.set(key, loading);
    loading.then((blob) => createImageBitmap(blob)).then((bitmap) => {
      if (tiles.get(key) !== loading) return bitmap.close();
      tiles.set(key, bitmap);
      for (const [old, other] of tiles) {
        if (tiles.size <= KEPT) break;
        if (other instanceof ImageBitmap && !old.startsWith(`${image.levels - 1}/`)) { tiles.delete(old); other.close(); }
      }
      redraw();
    }).catch(() => setTimeout(() => tiles.get(key) === loading && tiles.delete(key), 2000));
  }
  return null;
}

function drawImage() {
  const { ratio } = view;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = "#20262c";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = view.scale * ratio < 2;
  const best = clamp(Math.floor(-Math.log2(view.scale * ratio) + 0.4), 0, image.levels - 1);
  // coarse tiles first, so that there is something where the fine ones are missing
  for (let level = image.levels - 1; level >= best; level--) {
    if (level !== best && level !== image.levels - 1) continue;
    const size = side * 2 ** level, scale = view.scale * ratio;
    const [top, left] = [Math.max(Math.floor(view.y / size), 0), Math.max(Math.floor(view.x / size), 0)];
    const bottom = Math.min(Math.ceil(image.rows / size), Math.ceil((view.y + view.height / view.scale) / size));
    const right = Math.min(Math.ceil(image.columns / size), Math.ceil((view.x + view.width / view.scale) / size));
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) {
        const bitmap = tileAt(level, row, column);
        if (!bitmap) continue;
        const x = Math.round((column * size - view.x) * scale), y = Math.round((row * size - view.y) * scale);
        const x2 = Math.round((Math.min(column * size + bitmap.width * 2 ** level, image.columns) - view.x) * scale);
        const y2 = Math.round((Math.min(row * size + bitmap.height * 2 ** level, image.rows) - view.y) * scale);
        pen.drawImage(bitmap, x, y, x2 - x, y2 - y);
      }
    }
  }
  stage.classList.toggle("opening", ![...tiles.values()].some((tile) => tile instanceof ImageBitmap));
  scaleBar();
}

/** A length in Å as people say it; pixels where nothing else is known. */
export function length(pixels, digits = 3) {
  if (!image.pixel_size || image.counted) return `${Number(pixels.toPrecision(digits))} px`;
  const angstrom = pixels * image.pixel_size;
  if (angstrom < 10) return `${Number(angstrom.toPrecision(digits))} Å`;
  return angstrom < 10000 ? `${Number((angstrom / 10).toPrecision(digits))} nm` : `${Number((angstrom / 1e4).toPrecision(digits))} µm`;
}

function scaleBar() {
  const unit = image.pixel_size && !image.counted ? image.pixel_size : 1;
  const most = (Math.min(view.width * 0.22, 200) / view.scale) * unit, power = 10 ** Math.floor(Math.log10(most));
  const nice = [5, 2, 1].find((k) => k * power <= most) * power;
  bar.style.width = `${(nice / unit) * view.scale}px`;
  bar.textContent = length(nice / unit, 2);
}

function resize() {
  const before = [view.width, view.height], fitted = image && view.scale <= whole() * 1.01;
  view.ratio = Math.min(devicePixelRatio || 1, 2);
  view.width = stage.clientWidth;
  view.height = stage.clientHeight;
  for (const each of canvases) {
    each.width = Math.round(view.width * view.ratio);
    each.height = Math.round(view.height * view.ratio);
  }
  if (!image) return;
  if (fitted) fit();
  else pan((view.width - before[0]) / 2, (view.height - before[1]) / 2);
}

new ResizeObserver(resize).observe(stage);
resize();
