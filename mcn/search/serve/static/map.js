// The map: every moment a point, to look around in.

import { ask } from "./api.js";
import { byId, count, make, span, thumbnail } from "./dom.js";
import { shown } from "./moments.js";

const canvas = byId("plane");
const brush = canvas.getContext("2d");
const MARGIN = 24; // pixels
const REACH = 18; // pixels: how far from a point the pointer may be
const FARTHEST_ZOOM = 60;

let points = [];
let chosen = null;
let play = () => {};
let state = "new";
const view = { x: 0.5, y: 0.5, zoom: 1 };

/** onPlay: called with a moment. */
export function begin(onPlay) {
  play = onPlay;
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  canvas.addEventListener("keydown", pressed);
  canvas.addEventListener("wheel", wheeled, { passive: false });
  canvas.addEventListener("pointerdown", grabbed);
  canvas.addEventListener("pointermove", (event) => event.buttons || choose(nearest(event.offsetX, event.offsetY)));
  canvas.addEventListener("blur", () => choose(null));
  canvas.addEventListener("pointerleave", () => document.activeElement !== canvas && choose(null));
}

/** Fetch the points when the map is first looked at; draw it. */
export async function show() {
  if (state === "new" || state === "failed") {
    state = "asked";
    byId("map-status").textContent = "Drawing …";
    try {
      const found = await ask("/api/map");
      points = found.points.map(([number, start, end, x, y]) =>
        ({ ...found.videos[number], start_seconds: start, end_seconds: end, x, y, hue: (number * 137.5) % 360, sources: [] }));
      byId("map-status").textContent = points.length
        ? `${count(points.length, "moment")} of ${count(found.videos.length, "video")}`
        : "There are no vectors of moments here, so that there is no map: what was said can be searched.";
      state = "shown";
    } catch (error) {
      state = "failed";
      byId("map-status").textContent = error.message;
    }
  }
  draw();
}

const size = () => [canvas.clientWidth, canvas.clientHeight];

function place(point) {
  const [width, height] = size();
  return [
    width / 2 + (point.x - view.x) * view.zoom * (width - 2 * MARGIN),
    height / 2 + (point.y - view.y) * view.zoom * (height - 2 * MARGIN),
  ];
}

function draw() {
  const [width, height] = size();
  if (!width) return;
  const ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const radius = Math.max(2, Math.min(6, 60 / Math.sqrt(points.length || 1))) * Math.min(1.8, Math.sqrt(view.zoom));
  for (const point of points) {
    brush.fillStyle = `hsl(${point.hue} 62% ${dark ? 64 : 42}% / 0.75)`;
    circle(point, radius, true);
  }
  const ink = getComputedStyle(canvas).color;
  brush.strokeStyle = ink;
  brush.lineWidth = 2;
  for (const point of points) if (isFound(point)) circle(point, radius + 3, false);
  if (chosen) {
    brush.fillStyle = ink;
    circle(chosen, radius + 3, true);
  }
}

function circle(point, radius, filled) {
  brush.beginPath();
  brush.arc(...place(point), radius, 0, 2 * Math.PI);
  filled ? brush.fill() : brush.stroke();
}

const isFound = (point) =>
  shown.results.some((one) => one.video_id === point.video_id && one.start_seconds < point.end_seconds && point.start_seconds < one.end_seconds);

function nearest(x, y) {
  let best = null;
  let least = REACH;
  for (const point of points) {
    const [px, py] = place(point);
    const distance = Math.hypot(px - x, py - y);
    if (distance < least) [best, least] = [point, distance];
  }
  return best;
}

function choose(point) {
  if (point === chosen) return;
  chosen = point;
  const box = byId("point");
  box.hidden = !point;
  canvas.style.cursor = point ? "pointer" : "grab";
  if (point) {
    box.replaceChildren(thumbnail(point, (point.start_seconds + point.end_seconds) / 2),
      make("span", { className: "name", textContent: point.name }), make("span", { className: "quiet", textContent: span(point) }));
    const [width, height] = size();
    const [x, y] = place(point);
    box.style.left = `${Math.max(0, Math.min(x + 14, width - box.offsetWidth - 4))}px`;
    box.style.top = `${y + 14 + box.offsetHeight > height ? Math.max(0, y - 14 - box.offsetHeight) : y + 14}px`;
  }
  draw();
}

/** Drag to move the map; a press that does not move plays the point. */
function grabbed(event) {
  const start = { x: event.clientX, y: event.clientY, view: { ...view } };
  let moved = false;
  canvas.setPointerCapture(event.pointerId);
  const [width, height] = size();
  const drag = (now) => {
    const [dx, dy] = [now.clientX - start.x, now.clientY - start.y];
    moved ||= Math.hypot(dx, dy) > 4;
    if (!moved) return;
    move(start.view.x - dx / (view.zoom * (width - 2 * MARGIN)), start.view.y - dy / (view.zoom * (height - 2 * MARGIN)));
  };
  const drop = (now) => {
    canvas.removeEventListener("pointermove", drag);
    const point = nearest(now.offsetX, now.offsetY);
    choose(point);
    if (!moved && point && now.type === "pointerup") play(point, canvas);
  };
  canvas.addEventListener("pointermove", drag);
  canvas.addEventListener("pointerup", drop, { once: true });
  canvas.addEventListener("pointercancel", drop, { once: true });
}

function wheeled(event) {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
}

/** Closer or farther, around a place of the canvas. */
function zoom(factor, x = size()[0] / 2, y = size()[1] / 2) {
  const [width, height] = size();
  const before = view.zoom;
  view.zoom = Math.max(1, Math.min(FARTHEST_ZOOM, before * factor));
  const share = 1 / before - 1 / view.zoom;
  move(view.x + ((x - width / 2) * share) / (width - 2 * MARGIN), view.y + ((y - height / 2) * share) / (height - 2 * MARGIN));
}

function move(x, y) {
  view.x = Math.max(0, Math.min(1, x));
  view.y = Math.max(0, Math.min(1, y));
  draw();
}

const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (DIRECTIONS[event.key]) go(...DIRECTIONS[event.key]);
  else if (event.key === "Enter" && chosen) play(chosen, canvas);
  else if (event.key === "+" || event.key === "=") zoom(1.5);
  else if (event.key === "-") zoom(1 / 1.5);
  else if (event.key === "0") Object.assign(view, { x: 0.5, y: 0.5, zoom: 1 });
  else return;
  event.preventDefault();
  event.stopPropagation();
  draw();
}

/** To the nearest point in a direction; the middle of the map is where that begins. */
function go(dx, dy) {
  const [width, height] = size();
  const [x, y] = chosen ? place(chosen) : [width / 2, height / 2];
  let best = null;
  let least = Infinity;
  for (const point of points) {
    const [px, py] = place(point);
    const along = (px - x) * dx + (py - y) * dy;
    const across = Math.abs((px - x) * dy - (py - y) * dx);
    if (chosen ? along < 1 : false) continue;
    const distance = chosen ? along + 2 * across : Math.hypot(px - x, py - y);
    if (point !== chosen && distance < least) [best, least] = [point, distance];
  }
  if (!best) return;
  const [px, py] = place(best);
  if (px < 0 || py < 0 || px > width || py > height) move(best.x, best.y);
  choose(best);
}
