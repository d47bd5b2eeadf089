"use strict";
// The plane without a server: the image at a place is a mean of the four that were decoded nearest to it.
const data = JSON.parse(get("data").textContent);
const state = { z: [0, 0] };
let plane, sprite;

function decoded([x, y]) {
  const { half, side, shape: [height, width] } = data, last = side - 1;
  const across = ((x + half) / (2 * half)) * last, down = ((half - y) / (2 * half)) * last;
  const column = Math.min(last - 1, Math.floor(across)), row = Math.min(last - 1, Math.floor(down));
  const shares = [across - column, down - row], bytes = new Uint8Array(3 * height * width);
  for (let i = 0; i < height; i++) for (let j = 0; j < width; j++) for (let c = 0; c < 3; c++) {
    let value = 0;
    for (const [r, c2] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      const share = (c2 ? shares[0] : 1 - shares[0]) * (r ? shares[1] : 1 - shares[1]);
      value += share * sprite.data[4 * (((row + r) * height + i) * sprite.width + (column + c2) * width + j) + c];
    }
    bytes[3 * (i * width + j) + c] = value + 0.5;
  }
  return bytes;
}

function moved(at) {
  state.z = plane.at = at.map((value) => Math.min(data.half, Math.max(-data.half, value)));
  paint(get("decoded"), decoded(state.z), [...data.shape, 3]);
  const words = data.axes.map((d, i) => `${axisName(d)} = ${number(state.z[i])}`);
  get("z").replaceChildren(...words.flatMap((word, i) => [i ? ", " : "", element("span", { textContent: word })]));
  get("decoded").setAttribute("aria-label", `Decoded image at ${words.join(", ")}`);
}

function picked(index) {
  const label = data.labels?.[index] ?? -1;
  plane.chosen = index;
  moved([plane.xy[2 * index], plane.xy[2 * index + 1]]);
  plane.redraw();
  get("chosen-words").textContent = `The code of test image ${index + 1}${label < 0 ? "" : `, label ${data.classes[label]}`}.`;
}

async function start() {
  const image = get("sprite"), { side, shape: [height, width] } = data;
  await image.decode();
  const canvas = element("canvas", { width: side * width, height: side * height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  sprite = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  plane = new Plane(get("plane"), { moved, picked });
  Object.assign(plane, { xy: Float32Array.from(data.codes), labels: data.labels, names: data.classes ?? [], titles: data.axes.map(axisName) });
  const whole = () => { Object.assign(plane, { half: data.half, middle: [0, 0] }); plane.redraw(); };
  get("fit").addEventListener("click", whole);
  get("in").addEventListener("click", () => plane.zoom(1 / 1.25));
  get("out").addEventListener("click", () => plane.zoom(1.25));
  whole();
  themed(() => { plane.redraw(); legend(data.classes, data.labels); });
  moved([0, 0]);
  document.documentElement.dataset.ready = "yes";
}

start();
