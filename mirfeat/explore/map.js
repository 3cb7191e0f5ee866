
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const canvas = byId("map"), tip = byId("tip"), player = byId("player");
const count = data.names.length, hidden = new Set();
const RADIUS = count > 2000 ? 3.5 : count > 300 ? 5 : 7, MARGIN = 24;
let zoom = 1, panX = 0, panY = 0, width = 0, height = 0, chosen = -1, hovered = -1;
let sprites = [], waiting = false, drawn = "";
// All points as they lie now: a song that is chosen or hovered over costs no new drawing of them.
const layer = document.createElement("canvas");

// -- drawing --------------------------------------------------------------------------------------

function shape(context, kind, x, y, r) {
  context.beginPath();
  if (kind === 0) context.arc(x, y, r, 0, 2 * Math.PI);
  else if (kind === 1) {
    context.moveTo(x, y - 1.15 * r); context.lineTo(x + 1.05 * r, y + 0.8 * r);
    context.lineTo(x - 1.05 * r, y + 0.8 * r); context.closePath();
  } else if (kind === 2) context.rect(x - 0.85 * r, y - 0.85 * r, 1.7 * r, 1.7 * r);
  else {
    context.moveTo(x, y - 1.2 * r); context.lineTo(x + 1.2 * r, y);
    context.lineTo(x, y + 1.2 * r); context.lineTo(x - 1.2 * r, y); context.closePath();
  }
  context.fill();
}

function look(group) {
  if (group >= data.mostGroups) return ["#9aa2ab", 0];
  return [data.palette[group % data.palette.length],
    Math.floor(group / data.palette.length)];
}

// A picture of each kind of point, drawn once: thousands of copies are cheap.
function sprite(group, radius, scale) {
  const picture = document.createElement("canvas"), size = Math.ceil(2.6 * radius * scale);
  picture.width = picture.height = size;
  const context = picture.getContext("2d"), [color, kind] = look(group);
  context.fillStyle = color;
  shape(context, kind, size / 2, size / 2, radius * scale);
  return picture;
}

function place(i) {
  const side = Math.min(width, height) - 2 * MARGIN;
  // Wide screens stretch the map a little; near stays near.
  const sideX = Math.min(width - 2 * MARGIN, side * 1.6);
  const sideY = Math.min(height - 2 * MARGIN, side * 1.6);
  return [(0.5 + (data.x[i] - 0.5) * zoom + panX) * sideX + (width - sideX) / 2,
    (0.5 - (data.y[i] - 0.5) * zoom + panY) * sideY + (height - sideY) / 2];
}

function drawPoints(scale) {
  const view = [zoom, panX, panY, canvas.width, canvas.height, [...hidden]].join();
  if (view === drawn) return;
  drawn = view;
  layer.width = canvas.width; layer.height = canvas.height;
  const context = layer.getContext("2d"), size = sprites.length ? sprites[0].width / scale : 0;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.globalAlpha = 0.85;
  for (let i = 0; i < count; i++) {
    if (hidden.has(data.group[i])) continue;
    const [x, y] = place(i);
    if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
    context.drawImage(sprites[data.group[i]], x - size / 2, y - size / 2, size, size);
  }
}

function draw() {
  waiting = false;
  const scale = window.devicePixelRatio || 1, context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink"), accent = style.getPropertyValue("--accent");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  if (chosen >= 0) {
    const [x, y] = place(chosen);
    context.strokeStyle = accent; context.globalAlpha = 0.7; context.lineWidth = 1.5;
    for (const other of data.near[chosen]) {
      const [toX, toY] = place(other);
      context.beginPath(); context.moveTo(x, y); context.lineTo(toX, toY); context.stroke();
    }
  }
  context.globalAlpha = 1;
  drawPoints(scale);
  if (layer.width && layer.height) context.drawImage(layer, 0, 0, width, height);
  for (const [i, color, more] of [[hovered, ink, 2.5], [chosen, accent, 4]]) {
    if (i < 0) continue;
    const [x, y] = place(i);
    context.strokeStyle = color; context.lineWidth = 2.5;
    context.beginPath(); context.arc(x, y, RADIUS + more, 0, 2 * Math.PI); context.stroke();
  }
}

function redraw() {
  if (!waiting) { waiting = true; requestAnimationFrame(draw); }
}

function resize() {
  const box = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
  width = box.width; height = box.height;
  canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
  sprites = data.groups.map((_, group) => sprite(group, RADIUS, scale));
  redraw();
}

// -- choosing and hearing -------------------------------------------------------------------------

function at(x, y, reach) {
  let best = -1, nearest = reach * reach;
  for (let i = 0; i < count; i++) {
    if (hidden.has(data.group[i])) continue;
    const [px, py] = place(i), distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < nearest) { nearest = distance; best = i; }
  }
  return best;
}

function say(text) {
  const line = byId("silence");
  line.textContent = text; line.hidden = !text;
}

function hear(i) {
  const source = data.sounds[i];
  player.hidden = !source;
  if (!source) { player.pause(); say("There is no audio to play for this song."); return; }
  say("");
  player.src = source;
  player.play().catch((error) => {
    if (error.name !== "AbortError") say("This browser cannot play the file, or it is not there.");
  });
}

// Whole songs start a third in, where they have begun.
player.addEventListener("loadedmetadata", () => {
  if (player.duration > 60 && Number.isFinite(player.duration)) {
    player.currentTime = player.duration / 3;
  }
});

function neighbour(i, value) {
  const item = document.createElement("li"), button = document.createElement("button");
  const words = [["play", "▶"], ["title", data.names[i]],
    ["value", data.metric === "cosine" ? value.toFixed(2) : value.toFixed(1)]];
  for (const [kind, text] of words) {
    const span = document.createElement("span");
    span.className = kind; span.textContent = text; button.append(span);
  }
  button.type = "button";
  button.addEventListener("click", () => choose(i));
  item.append(button);
  return item;
}

function choose(i) {
  chosen = i;
  byId("name").textContent = data.names[i];
  const several = data.groups.length > 1;
  byId("group").textContent = several
    ? `${data.groupName}: ${data.groups[data.group[i]].name}` : "";
  byId("tags").replaceChildren(...(data.tags[i] || []).map((word) => {
    const span = document.createElement("span");
    span.textContent = word;
    return span;
  }));
  byId("near-title").hidden = !data.near[i].length;
  byId("near").replaceChildren(...data.near[i].map((j, k) => neighbour(j, data.close[i][k])));
  hear(i);
  redraw();
}

// -- pointer and keys -----------------------------------------------------------------------------

const pointers = new Map();
let moved = 0, spread = 0;

function local(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function hover(event) {
  const [x, y] = local(event), i = at(x, y, RADIUS + 8);
  if (i !== hovered) { hovered = i; redraw(); }
  tip.hidden = i < 0;
  if (i >= 0) {
    tip.textContent = data.names[i];
    tip.style.left = `${Math.min(x + 12, width - Math.min(tip.offsetWidth, width))}px`;
    // Above the point, so that a name of two lines on a phone does not cover it; below at the top.
    tip.style.top = `${y - tip.offsetHeight - 12 < 0 ? y + 14 : y - tip.offsetHeight - 12}px`;
  }
}

function zoomAt(x, y, factor) {
  const next = Math.min(60, Math.max(1, zoom * factor)), change = next / zoom;
  const side = Math.min(width, height) - 2 * MARGIN;
  const sideX = Math.min(width - 2 * MARGIN, side * 1.6);
  const sideY = Math.min(height - 2 * MARGIN, side * 1.6);
  const u = (x - (width - sideX) / 2) / sideX - 0.5, v = (y - (height - sideY) / 2) / sideY - 0.5;
  panX = u - (u - panX) * change; panY = v - (v - panY) * change;
  zoom = next;
  if (zoom === 1) { panX = 0; panY = 0; }
  // Where there is nowhere to drag the map to, a finger scrolls the page.
  canvas.style.touchAction = zoom > 1 ? "none" : "pan-y";
  redraw();
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, local(event));
  moved = 0; spread = 0;
});

canvas.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId), [x, y] = local(event);
  if (!before) { hover(event); return; }
  pointers.set(event.pointerId, [x, y]);
  if (pointers.size === 2) {
    const [[ax, ay], [bx, by]] = pointers.values(), now = Math.hypot(ax - bx, ay - by);
    if (spread) zoomAt((ax + bx) / 2, (ay + by) / 2, now / spread);
    spread = now; moved = 99;
    return;
  }
  moved += Math.hypot(x - before[0], y - before[1]);
  if (moved > 6 && zoom > 1) {
    const side = Math.min(width, height) - 2 * MARGIN;
    panX += (x - before[0]) / Math.min(width - 2 * MARGIN, side * 1.6);
    panY += (y - before[1]) / Math.min(height - 2 * MARGIN, side * 1.6);
    redraw();
  }
});

canvas.addEventListener("pointerup", (event) => {
  const [x, y] = local(event);
  pointers.delete(event.pointerId);
  spread = 0;
  if (moved > 6) return;
  const i = at(x, y, RADIUS + (event.pointerType === "mouse" ? 8 : 18));
  if (i >= 0) choose(i);
});
canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
canvas.addEventListener("pointerleave", () => { tip.hidden = true; hovered = -1; redraw(); });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomAt(...local(event), Math.exp(-event.deltaY / 400));
}, { passive: false });
canvas.addEventListener("dblclick", () => zoomAt(0, 0, 0));
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step) { event.preventDefault(); choose((chosen + step + count) % count); }
  if (event.key === " ") {
    event.preventDefault();
    if (player.paused) player.play(); else player.pause();
  }
});

// -- search and legend ----------------------------------------------------------------------------

const numbers = new Map(data.names.map((name, i) => [name, i]));
byId("songs").append(...data.names.slice(0, 10000).map((name) => new Option(name)));
byId("search").addEventListener("input", (event) => {
  const i = numbers.get(event.target.value);
  if (i !== undefined) choose(i);
});
byId("search").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  const wanted = event.target.value.toLowerCase();
  const i = data.names.findIndex((name) => name.toLowerCase().includes(wanted));
  if (wanted && i >= 0) choose(i);
});

function legendEntry(text, groups) {
  const item = document.createElement("li"), button = document.createElement("button");
  const picture = sprite(groups[0], 5, 2);
  button.type = "button";
  button.setAttribute("aria-pressed", "true");
  button.append(picture, text);
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") === "true";
    button.setAttribute("aria-pressed", String(!shown));
    for (const group of groups) if (shown) hidden.add(group); else hidden.delete(group);
    redraw();
  });
  item.append(button);
  return item;
}

if (data.groups.length > 1) {
  const own = data.groups.slice(0, data.mostGroups);
  const entries = own.map((group, i) => legendEntry(`${group.name} (${group.count})`, [i]));
  const others = data.groups.slice(data.mostGroups).map((_, i) => i + data.mostGroups);
  if (others.length) entries.push(legendEntry(`${others.length} others`, others));
  byId("legend").append(...entries);
}
window.addEventListener("resize", resize);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
window.songMap = { place, choose };
resize();
