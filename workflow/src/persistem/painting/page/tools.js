// The hand: brush, polygon, eraser, accepting a region, moving. What it does is shown at once, and then as the server
// has drawn it.

import { clamp, drawnBy, pan, stir, toImage, toScreen, view, zoom } from "./view.js";

const MOST = 4000; // points of a stroke that are sent together
const canvas = document.getElementById("hand"), pen = canvas.getContext("2d");

export const hand = { tool: "brush", state: 1, radius: 12, colour: "#0072b2", places: [], place: -1, space: false };
const sent = new Map(); // marks that the server has not drawn yet, by the number of the request
let stroke = null, corners = [], at = null, ask = () => 0, pointed = () => {};

/** Say whom to ask, and who is told where the pointer is (null: nowhere). */
export function start(asking, pointing) {
  [ask, pointed] = [asking, pointing];
  listen();
}

/** The server has drawn a mark, or has refused it. */
export function did(id) {
  if (sent.delete(id)) stir();
}

export function forget() {
  sent.clear();
  [stroke, corners] = [null, []];
  stir();
}

export function choose(tool) {
  hand.tool = tool;
  corners = [];
  cursor();
  stir();
}

/** Close the polygon; whether there was one. */
export function close() {
  if (corners.length < 3) return false;
  send({ do: "polygon", state: hand.state, points: corners }, hand.colour);
  corners = [];
  stir();
  return true;
}

/** Drop the polygon or the stroke that is being made. */
export function drop() {
  [stroke, corners] = [null, []];
  stir();
}

/** Take back the last corner; whether there was one. */
export function back() {
  if (!corners.length) return false;
  corners.pop();
  stir();
  return true;
}

function send(mark, colour) {
  const id = ask(mark);
  if (id) sent.set(id, { ...mark, colour });
}

export function cursor() {
  canvas.classList.toggle("moving", hand.tool === "hand" || hand.space);
  canvas.classList.toggle("pointing", (hand.tool === "polygon" || hand.tool === "accept") && !hand.space);
}

// ---- drawing

function line(points, radius, colour, filled) {
  pen.beginPath();
  points.forEach(([x, y], k) => (k ? pen.lineTo(...toScreen(x, y)) : pen.moveTo(...toScreen(x, y))));
  if (filled) {
    pen.closePath();
    pen.fillStyle = colour;
    pen.fill();
    return;
  }
  if (points.length === 1) pen.lineTo(...toScreen(points[0][0] + 1e-3, points[0][1]));
  Object.assign(pen, { strokeStyle: colour, lineWidth: 2 * radius * view.scale, lineCap: "round", lineJoin: "round" });
  pen.stroke();
}

function ring(x, y, radius) {
  for (const [colour, width] of [["rgba(0,0,0,.6)", 3], ["#ffffff", 1.3]]) {
    pen.beginPath();
    pen.arc(x, y, Math.max(radius, 1.5), 0, 2 * Math.PI);
    Object.assign(pen, { strokeStyle: colour, lineWidth: width });
    pen.stroke();
  }
}

function draw() {
  pen.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  pen.clearRect(0, 0, view.width, view.height);
  pen.globalAlpha = 0.6;
  for (const mark of sent.values()) line(mark.points, mark.radius, mark.colour, mark.do === "polygon");
  if (stroke) line(stroke.points, stroke.radius, stroke.colour, false);
  pen.globalAlpha = 1;
  hand.places.forEach(([x, y], k) => {
    const [px, py] = toScreen(x, y);
    pen.beginPath();
    pen.arc(px, py, k === hand.place ? 14 : 11, 0, 2 * Math.PI);
    Object.assign(pen, { fillStyle: k === hand.place ? "#ffd166" : "#ffffff", strokeStyle: "#e69f00", lineWidth: 3, font: "600 12px sans-serif", textAlign: "center", textBaseline: "middle" });
    pen.fill();
    pen.stroke();
    pen.fillStyle = "#1b2127";
    pen.fillText(k + 1, px, py + 0.5);
  });
  if (corners.length) {
    const all = at ? [...corners, at] : corners;
    pen.globalAlpha = 0.35;
    if (all.length > 2) line(all, 0, hand.colour, true);
    pen.globalAlpha = 1;
    for (const [colour, width] of [["rgba(0,0,0,.6)", 4], [hand.colour, 2]]) {
      pen.beginPath();
      all.forEach(([x, y], k) => (k ? pen.lineTo(...toScreen(x, y)) : pen.moveTo(...toScreen(x, y))));
      Object.assign(pen, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
      pen.stroke();
    }
    for (const corner of corners) ring(...toScreen(...corner), 3.5);
  }
  const painting = (hand.tool === "brush" || hand.tool === "eraser") && !hand.space;
  if (at && painting) {
    const [x, y] = toScreen(...at);
    ring(x, y, hand.radius * view.scale);
    pen.fillStyle = hand.tool === "eraser" ? "#ffffff" : hand.colour;
    pen.beginPath();
    pen.arc(x, y, 2, 0, 2 * Math.PI);
    pen.fill();
  }
}

// ---- pointer

function listen() {
  const fingers = new Map();
  let moving = false, travelled = 0;
  const where = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const spread = () => { const [a, b] = [...fingers.values()]; return { gap: Math.hypot(a[0] - b[0], a[1] - b[1]) || 1, x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2 }; };

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaY * (event.deltaMode ? 30 : 1);
    zoom(Math.exp(-clamp(lines, -250, 250) * (event.ctrlKey ? 0.01 : 0.0022)), ...where(event));
  }, { passive: false });

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, where(event));
    if (fingers.size === 2) { stroke = null; moving = true; return; } // the second finger moves and zooms
    travelled = 0;
    moving = event.button === 1 || hand.space || hand.tool === "hand";
    if (moving || fingers.size > 1) return;
    const place = toImage(...where(event));
    if (hand.tool === "brush" || hand.tool === "eraser") begin(place);
    at = place;
    stir();
  });

  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = where(event), before = fingers.get(event.pointerId);
    at = toImage(x, y);
    pointed(at);
    stir();
    if (!before) return;
    if (fingers.size === 2) {
      const was = spread();
      fingers.set(event.pointerId, [x, y]);
      const now = spread();
      pan(now.x - was.x, now.y - was.y);
      zoom(now.gap / was.gap, now.x, now.y);
      return;
    }
    fingers.set(event.pointerId, [x, y]);
    travelled += Math.hypot(x - before[0], y - before[1]);
    if (moving) pan(x - before[0], y - before[1]);
    else if (stroke) for (const each of event.getCoalescedEvents?.() ?? [event]) extend(toImage(...where(each)));
  });

  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    const [x, y] = toImage(...where(event));
    if (!moving && event.type === "pointerup") {
      if (stroke) finish();
      else if (hand.tool === "polygon" && travelled < 6) corner(x, y);
      else if (hand.tool === "accept" && travelled < 6) ask({ do: "accept", x, y });
    }
    if (event.type === "pointercancel") stroke = null;
    if (!fingers.size) moving = false;
    if (event.pointerType === "touch") { at = null; pointed(null); }
    stir();
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", (event) => { if (!fingers.size && event.pointerType !== "touch") { at = null; pointed(null); stir(); } });
  canvas.addEventListener("dblclick", () => { if (hand.tool === "polygon") close(); });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("auxclick", (event) => event.preventDefault());
}

/** Add a corner; a click on the first one closes the polygon. */
function corner(x, y) {
  const near = (place) => Math.hypot(...toScreen(...place).map((p, k) => p - toScreen(x, y)[k])) < 9;
  if (corners.length > 2 && near(corners[0])) { close(); return; }
  if (corners.length && near(corners.at(-1)) ) return; // the second of a double click
  corners.push([x, y]);
}

function begin(place) {
  const erases = hand.tool === "eraser";
  stroke = { points: [place], radius: hand.radius, state: erases ? 0 : hand.state, colour: erases ? "#ffffff" : hand.colour };
}

function extend(place) {
  const last = stroke.points.at(-1);
  if (Math.hypot(place[0] - last[0], place[1] - last[1]) < Math.max(0.25, stroke.radius / 12)) return;
  stroke.points.push(place);
  if (stroke.points.length >= MOST) { finish(); begin(place); }
}

function finish() {
  const { points, radius, state, colour } = stroke, round = (x) => Math.round(x * 100) / 100;
  send({ do: "stroke", state, radius: round(radius), points: points.map(([x, y]) => [round(x), round(y)]) }, colour);
  stroke = null;
}

drawnBy(draw, true);
