"use strict";
// A plane of the latent space: points with labels, regions of posteriors, and a cursor that pointer and keys move.
const STEP = 0.02;  // of the width that is seen, for an arrow key
const NEAR = 12;  // pixels between a click and the point that it means

class Plane {
  // `moved(x, y)` is called when the cursor moves, `picked(index)` when a point is chosen.
  constructor(canvas, { moved, picked }) {
    Object.assign(this, { canvas, moved, picked, xy: new Float32Array(0), labels: null, names: [], regions: [], chosen: null, version: 0 });
    Object.assign(this, { at: [0, 0], middle: [0, 0], half: 3, titles: ["", ""], below: document.createElement("canvas") });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", () => { this.pressed = null; });
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  // Show all points but the outermost, the origin in the middle.
  fit() {
    const sizes = Float32Array.from(this.xy, Math.abs).sort();
    this.half = Math.max(1, 1.15 * (sizes[Math.floor(0.995 * (sizes.length - 1))] || 1));
    this.middle = [0, 0];
  }

  // Show lines of regions, all of them.
  show(lines) {
    const corners = lines.flat(), sides = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
    const ends = sides.map((values) => [Math.min(...values), Math.max(...values)]);
    this.middle = ends.map(([low, high]) => (low + high) / 2);
    this.half = Math.max(0.02, ...ends.map(([low, high]) => 0.8 * (high - low)));
    this.redraw();
  }

  zoom(factor) {
    this.half = Math.min(1e3, Math.max(0.02, this.half * factor));
    this.middle = this.half < 1.5 ? [...this.at] : this.middle.map((m, i) => (Math.abs(this.at[i] - m) > this.half ? this.at[i] : m));
    this.redraw();
  }

  side() { return this.canvas.clientWidth; }
  toPixels(x, y) {
    const scale = this.side() / (2 * this.half);
    return [(x - this.middle[0] + this.half) * scale, (this.half - y + this.middle[1]) * scale];
  }
  toPlace(event) {
    const box = this.canvas.getBoundingClientRect(), scale = (2 * this.half) / this.side();
    const px = event.clientX - box.left - this.canvas.clientLeft, py = event.clientY - box.top - this.canvas.clientTop;
    return [this.middle[0] - this.half + px * scale, this.middle[1] + this.half - py * scale];
  }

  press(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pressed = { x: event.clientX, y: event.clientY, dragged: false };
    this.go(this.toPlace(event), event);
  }
  drag(event) {
    if (!this.pressed) return;
    this.pressed.dragged ||= Math.hypot(event.clientX - this.pressed.x, event.clientY - this.pressed.y) > 3;
    this.go(this.toPlace(event), event);
  }
  release(event) {
    const { pressed } = this;
    this.pressed = null;
    if (!pressed || pressed.dragged) return;
    const [index, distance] = this.nearest();
    if (distance <= NEAR) this.picked(index);
  }

  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (ways[event.key]) {
      const step = 2 * this.half * STEP * (event.shiftKey ? 10 : 1) * 0.5;
      this.go(this.at.map((a, i) => a + ways[event.key][i] * step), event);
    } else if (event.key === "Enter" && this.xy.length) this.picked(this.nearest()[0]);
    else if (event.key === "0" || event.key === "Home") this.go([0, 0], event);
    else if (event.key === "+" || event.key === "=") this.zoom(1 / 1.25);
    else if (event.key === "-") this.zoom(1.25);
    else return;
    event.preventDefault();
  }

  go(at, event) {
    this.at = at;
    const reach = this.half * 0.98;
    this.middle = this.middle.map((m, i) => Math.min(at[i] + reach, Math.max(at[i] - reach, m)));
    this.redraw();
    this.moved(at, event);
  }

  // The point nearest to the cursor, and how many pixels it is away.
  nearest() {
    let best = -1, least = Infinity;
    for (let i = 0; i < this.xy.length / 2; i++) {
      const away = Math.hypot(this.xy[2 * i] - this.at[0], this.xy[2 * i + 1] - this.at[1]);
      if (away < least) [best, least] = [i, away];
    }
    return [best, (least * this.side()) / (2 * this.half)];
  }

  redraw() { this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.draw(); }); }

  draw() {
    const side = this.side(), ratio = window.devicePixelRatio || 1, size = Math.round(side * ratio);
    if (!size) return;
    if (this.canvas.width !== size) Object.assign(this.canvas, { width: size, height: size });
    const view = JSON.stringify([size, this.middle, this.half, isDark(), this.version]);
    if (view !== this.drawn) {
      Object.assign(this.below, { width: size, height: size });
      this.ground(this.below.getContext("2d"), side, ratio);
      this.drawn = view;
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, size, size);
    context.drawImage(this.below, 0, 0);
    context.scale(ratio, ratio);
    this.mark(context);
  }

  // What does not move with the cursor.
  ground(context, side, ratio) {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, side, side);
    this.lines(context, side);
    this.points(context, side);
    for (const region of this.regions) outline(context, region, (x, y) => this.toPixels(x, y));
  }

  lines(context, side) {
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500].find((s) => s * 7 >= this.half) ?? 1000;
    context.font = "11px system-ui, sans-serif";
    context.lineWidth = 1;
    for (const axis of [0, 1]) {
      for (let k = Math.ceil((this.middle[axis] - this.half) / step); k * step <= this.middle[axis] + this.half; k++) {
        const [x, y] = axis ? this.toPixels(this.middle[0], k * step) : this.toPixels(k * step, this.middle[1]);
        context.strokeStyle = css(k === 0 ? "--line" : "--grid");
        context.beginPath();
        if (axis) { context.moveTo(0, y); context.lineTo(side, y); } else { context.moveTo(x, 0); context.lineTo(x, side); }
        context.stroke();
        context.fillStyle = css("--faint");
        const text = number(k * step, step < 0.1 ? 2 : step < 1 ? 1 : 0);
        if (axis && y > 30 && y < side - 24) context.fillText(text, 5, y - 3);
        if (!axis && x > 40 && x < side - 40) context.fillText(text, x + 3, side - 6);
      }
    }
    context.fillStyle = css("--ink");
    context.font = "600 13px system-ui, sans-serif";
    context.fillText(this.titles[1], 6, 16);
    context.textAlign = "right";
    context.fillText(this.titles[0], side - 6, side - 6);
    context.textAlign = "left";
  }

  // Short labels are written, so that none is known by its colour alone.
  points(context, side) {
    const colours = palette(), short = this.names.length && this.names.every((name) => name.length <= 2);
    const count = this.xy.length / 2;
    context.globalAlpha = count > 800 ? 0.7 : 0.9;
    context.font = `600 ${count > 800 ? 10 : 12}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let i = 0; i < count; i++) {
      const [x, y] = this.toPixels(this.xy[2 * i], this.xy[2 * i + 1]), label = this.labels?.[i] ?? -1;
      if (x < -9 || y < -9 || x > side + 9 || y > side + 9) continue;
      context.fillStyle = label < 0 ? (this.labels ? css("--faint") : colours[0]) : colours[label % colours.length];
      if (short && label >= 0) context.fillText(this.names[label], x, y);
      else { context.beginPath(); context.arc(x, y, 3, 0, 7); context.fill(); }
    }
    Object.assign(context, { globalAlpha: 1, textAlign: "left", textBaseline: "alphabetic" });
  }

  mark(context) {
    context.strokeStyle = context.fillStyle = css("--ink");
    if (this.chosen !== null) {
      context.lineWidth = 2;
      context.beginPath();
      context.arc(...this.toPixels(this.xy[2 * this.chosen], this.xy[2 * this.chosen + 1]), 10, 0, 7);
      context.stroke();
    }
    const [x, y] = this.toPixels(...this.at);
    for (const [colour, width] of [[css("--paper"), 6], [css("--link"), 2.5]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: width });
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 5 * dx, y + 5 * dy);
        context.lineTo(x + 14 * dx, y + 14 * dy);
      }
      context.moveTo(x + 5, y);
      context.arc(x, y, 5, 0, 7);
      context.stroke();
    }
  }
}

// The smallest regions of a density: `region.lines` by level; filled ones are the true posterior's.
function outline(context, region, toPixels) {
  for (const line of region.lines) {
    context.beginPath();
    line.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](...toPixels(x, y)));
    if (region.filled) { context.globalAlpha = 0.28; context.fillStyle = css("--true"); context.fill(); context.globalAlpha = 1; }
    Object.assign(context, { strokeStyle: css(region.filled ? "--true" : "--link"), lineWidth: region.filled ? 1 : 2 });
    context.stroke();
  }
}
