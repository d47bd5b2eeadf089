"use strict";
// The page: what is chosen, and what happens when it changes.
const state = { runs: [], run: 0, codes: [], axes: [0, 1], z: [], image: null };
const latencies = [];  // ms from a movement of the cursor to the picture on the page, the latest 1,000
let plane, wanted = null, asking = false;

async function ask(name, fields = {}, signal = undefined) {
  const answer = await fetch(`api/${name}`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(fields), signal,
  });
  if (!answer.ok) throw new Error(((await answer.json().catch(() => null)) ?? { error: answer.statusText }).error);
  return answer;
}
const askJson = async (...words) => (await ask(...words)).json();
async function askPixels(...words) {
  const answer = await ask(...words), shape = answer.headers.get("x-shape").split(",").map(Number);
  return { bytes: new Uint8Array(await answer.arrayBuffer()), shape };
}

function problem(error) {
  if (error?.name === "AbortError") return;
  get("problem").textContent = error instanceof TypeError ? "The explorer has ended: start it again." : error?.message ?? "";
  get("problem").hidden = !error;
}

// One request is under way at a time; of what is wanted meanwhile only the latest is asked for.
async function decode(event) {
  wanted = { z: [...state.z], run: state.run, since: event?.timeStamp };
  if (asking) return;
  asking = true;
  try {
    while (wanted) {
      const { z, run, since } = wanted;
      wanted = null;
      const { bytes, shape } = await askPixels("decode", { run, z: [z] });
      paint(get("decoded"), bytes, shape.slice(1));
      if (since !== undefined) latencies.push(performance.now() - since);
      if (latencies.length > 1000) latencies.shift();
    }
    problem(null);
  } catch (error) { problem(error); } finally { asking = false; }
}

function showPlace() {
  const words = state.axes.map((d) => `${axisName(d)} = ${number(state.z[d])}`).join(", ");
  get("z").textContent = words;
  get("decoded").setAttribute("aria-label", `Decoded image at ${words}`);
}

function moved(at, event) {
  state.axes.forEach((d, i) => { state.z[d] = at[i]; });
  showPlace();
  decode(event);
}

const codeOf = (index) => { const d = run().latent_dim; return [...state.codes[state.run].subarray(index * d, (index + 1) * d)]; };
const run = () => state.runs[state.run];

// z at the chosen image's code, or with the other dimensions at 0.
function place(z) {
  state.z = z.map((value, d) => (state.axes.includes(d) || get("hold").value === "code" ? value : 0));
  plane.at = state.axes.map((d) => state.z[d]);
  plane.redraw();
  showPlace();
  decode();
}

function choose(index) {
  state.image = { image: index };
  plane.chosen = index;
  place(codeOf(index));
}

function showPlane(fit) {
  const d = run().latent_dim, codes = state.codes[state.run], xy = new Float32Array((2 * codes.length) / d);
  for (let i = 0; i < codes.length / d; i++) state.axes.forEach((axis, k) => { xy[2 * i + k] = codes[i * d + axis]; });
  plane.xy = xy;
  plane.titles = state.axes.map(axisName);
  plane.version = (plane.version ?? 0) + 1;
  if (fit) plane.fit();
  plane.redraw();
}

async function chooseRun(index) {
  state.run = index;
  const d = run().latent_dim;
  state.codes[index] ??= new Float32Array(await (await ask("codes", { run: index })).arrayBuffer());
  state.axes = [...run().axes];
  const names = [...Array(d).keys()].map((k) => ({ value: k, text: `${axisName(k)} (activity ${number(run().activity[k])})` }));
  for (const [id, at] of [["across", 0], ["up", 1]]) {
    get(id).replaceChildren(...names.map(({ value, text }) => element("option", { value, textContent: text })));
    get(id).value = state.axes[at];
  }
  get("axes").hidden = d === 2;
  get("held").hidden = d === 2;
  get("others").textContent = d - 2;
  showPlane(true);
  if (state.image?.image !== undefined) choose(state.image.image);
  else place(Array(d).fill(0));
}

function chooseAxes() {
  const chosen = [Number(get("across").value), Number(get("up").value)];
  if (chosen[0] === chosen[1]) {  // the other one takes the place that is free
    const other = chosen[0] === state.axes[0] ? 0 : 1;
    chosen[other] = state.axes[1 - other];
    [get("across").value, get("up").value] = chosen;
  }
  state.axes = chosen;
  showPlane(true);
  place(state.image?.image !== undefined ? codeOf(state.image.image) : state.z);
}

function legend(classes, labels) {
  if (!labels || !classes) return;
  const colours = palette(), short = classes.every((name) => name.length <= 2);
  get("legend").hidden = short;  // the points are written as their labels
  get("legend").replaceChildren(...classes.map((name, i) => {
    const dot = element("i");
    dot.style.background = colours[i % colours.length];
    return element("span", {}, dot, name);
  }));
}

async function start() {
  const about = await askJson("start");
  Object.assign(state, about);
  document.title = `${about.data} – pyro_vae explore`;
  get("title").textContent = `Latent plane of ${about.data}`;
  plane = new Plane(get("plane"), { moved, picked: choose });
  Object.assign(plane, { labels: about.labels, names: about.classes ?? [] });
  get("run").append(...about.runs.map((r, value) => element("option", { value, textContent: `${r.name} (${r.guide})` })));
  get("run").addEventListener("change", () => chooseRun(Number(get("run").value)).catch(problem));
  for (const id of ["across", "up"]) get(id).addEventListener("change", chooseAxes);
  get("hold").addEventListener("change", () => place(state.image?.image !== undefined ? codeOf(state.image.image) : state.z));
  get("in").addEventListener("click", () => plane.zoom(1 / 1.25));
  get("out").addEventListener("click", () => plane.zoom(1.25));
  themed(() => { plane.redraw(); legend(about.classes, about.labels); });
  await chooseRun(0);
  document.documentElement.dataset.ready = "yes";
}

start().catch(problem);
