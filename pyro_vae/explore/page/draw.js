"use strict";
// A canvas to draw on, by pointer or by keys; `drawn(ink)` gets S x S bytes when a stroke has ended.
const RASTER = 168;  // pixels along a side
const STILL = 350;  // ms after a stroke before the drawing is read

class Easel {
  constructor(canvas, pen, drawn) {
    Object.assign(this, { canvas, drawn, width: pen * 0.7 * RASTER, at: [RASTER / 2, RASTER / 4], down: false, keyed: false });
    Object.assign(canvas, { width: RASTER, height: RASTER });
    this.ink = element("canvas", { width: RASTER, height: RASTER });
    this.context = this.ink.getContext("2d", { willReadFrequently: true });
    Object.assign(this.context, { lineWidth: this.width, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      Object.assign(this, { at: this.place(event), down: true, keyed: false });
      this.line(this.at);
    });
    canvas.addEventListener("pointermove", (event) => { if (this.down && !this.keyed) this.line(this.place(event)); });
    canvas.addEventListener("pointerup", () => { if (!this.keyed) this.down = false; });
    canvas.addEventListener("pointercancel", () => { this.down = false; });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => { this.down = false; this.redraw(); });
    canvas.addEventListener("focus", () => this.redraw());
    this.redraw();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * RASTER, ((event.clientY - box.top) / box.height) * RASTER];
  }

  line(to) {
    this.context.beginPath();
    this.context.moveTo(...this.at);
    this.context.lineTo(to[0] + 0.01, to[1]);
    this.context.stroke();
    this.at = to;
    this.redraw();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.drawn(this.bytes()), STILL);
  }

  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    this.keyed = true;
    if (ways) {
      const to = this.at.map((a, i) => Math.min(RASTER - 4, Math.max(4, a + 6 * ways[i])));
      if (this.down) this.line(to);
      else this.at = to;
    } else if (event.key === " ") {
      this.down = !this.down;
      if (this.down) this.line(this.at);
    } else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else return;
    this.redraw();
    event.preventDefault();
  }

  clear() {
    clearTimeout(this.waiting);
    this.context.clearRect(0, 0, RASTER, RASTER);
    this.down = false;
    this.redraw();
  }

  redraw() {
    const shown = this.canvas.getContext("2d");
    shown.clearRect(0, 0, RASTER, RASTER);
    shown.drawImage(this.ink, 0, 0);
    if (document.activeElement !== this.canvas) return;
    Object.assign(shown, { strokeStyle: this.down ? "#8ab4ff" : "#8b95a1", lineWidth: 1.5 });
    shown.beginPath();
    shown.arc(...this.at, this.width / 2 + 2, 0, 7);
    shown.stroke();
  }

  bytes() {
    const { data } = this.context.getImageData(0, 0, RASTER, RASTER);
    return Uint8Array.from({ length: RASTER ** 2 }, (_, i) => data[4 * i + 3]);
  }
}
