"use strict";
// The page: what is chosen, and what happens when it changes.
const state = { runs: [], run: 0, codes: [], axes: [0, 1], z: [], image: null, drawn: [] };
const latencies = [];  // ms from a movement of the cursor to the picture on the page, the latest 1,000
let plane, looks, wanted = null, asking = false;

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
  const words = state.axes.map((d) => `${axisName(d)} = ${number(state.z[d])}`);
  get("z").replaceChildren(...words.flatMap((word, i) => [i ? ", " : "", element("span", { textContent: word })]));
  get("decoded").setAttribute("aria-label", `Decoded image at ${words.join(", ")}`);
}

function moved(at, event) {
  state.axes.forEach((d, i) => { state.z[d] = at[i]; });
  showPlace();
  decode(event);
}

const codeOf = (index) => { const d = run().latent_dim; return [...state.codes[state.run].subarray(index * d, (index + 1) * d)]; };
const run = () => state.runs[state.run];

// The code of the chosen image, or of the drawing; null before it is known.
const code = () => (state.image?.image !== undefined ? codeOf(state.image.image) : state.drawn[state.run] ?? null);

// z at the chosen image's code, or with the other dimensions at 0.
function place(z) {
  state.z = z.map((value, d) => (state.axes.includes(d) || get("hold").value === "code" ? value : 0));
  plane.at = state.axes.map((d) => state.z[d]);
  plane.redraw();
  showPlace();
  decode();
}

const axesOf = (index) => (index === state.run ? state.axes : state.runs[index].axes);
const pixelsOf = (name, fields) => askPixels(name, fields);

// Choose an image, of the test set or drawn: its place, and all that is known of it under every run.
function look(key) {
  Object.assign(state, { image: key, drawn: [] });
  plane.chosen = key.image ?? null;
  plane.regions = [];
  plane.version += 1;
  plane.redraw();
  get("to-posterior").hidden = true;
  get("image").hidden = false;
  looks.show(key, axesOf).catch(problem);
}

async function choose(index) {
  look({ image: index });
  place(codeOf(index));
  get("index").value = index + 1;
  const label = state.labels?.[index] ?? -1;
  get("chosen-words").textContent = `Test image ${index + 1}${label < 0 ? "" : `, label ${state.classes[label]}`}`;
  get("chosen").hidden = false;
  await askPixels("image", { image: index }).then(({ bytes, shape }) => {
    if (state.image.image === index) get("stored").replaceChildren(picture(`test image ${index + 1}`, bytes, shape.slice(1)));
  }).catch(problem);
}

async function drawn(ink) {
  try {
    const found = await askJson("drawn", { ink: btoa(String.fromCharCode(...ink)) });
    const bytes = Uint8Array.from(atob(found.image.pixels), (c) => c.charCodeAt(0));
    get("drawn").replaceChildren(picture("your drawing as an image of the data", bytes, found.image.shape), element("figcaption", { textContent: "as an image" }));
    get("drawn-words").textContent = "Its posterior and numbers are above, its code is on the plane.";
    get("chosen").hidden = true;
    look({ drawn: found.drawn });
  } catch (error) { problem(error); }
}

// The code of a drawing is known when its run has seen it.
function coded(index, found) {
  if (state.image.drawn === undefined) return;
  state.drawn[index] = found;
  if (index === state.run) place(found);
}

// What is known of an image under the run of the plane goes onto the plane.
function regions(index, found) {
  if (index !== state.run || String(found.axes) !== String(state.axes)) return;
  plane.regions = [{ lines: found.true, filled: true }, { lines: found.own }];
  plane.version += 1;
  plane.redraw();
  get("to-posterior").hidden = false;
}

async function apart(index, axes) {
  if (index !== state.run) { get("run").value = index; await chooseRun(index); }
  [get("across").value, get("up").value] = axes;
  chooseAxes();
  get("plane").focus();
}

function between() {
  const [first, last] = ["first", "last"].map((id) => Number(get(id).value) - 1);
  const fits = [first, last].every((i) => Number.isInteger(i) && i >= 0 && i < state.images);
  if (fits) strips(get("strips"), state.runs, first, last, { pixels: pixelsOf }).catch(problem);
  return fits ? [first, last] : null;
}

function slide() {
  const ends = ["first", "last"].map((id) => codeOf(Number(get(id).value) - 1)), share = Number(get("slide").value);
  if (ends.some((code) => code.length !== run().latent_dim)) return;
  state.z = ends[0].map((value, d) => value + share * (ends[1][d] - value));
  plane.at = state.axes.map((d) => state.z[d]);
  plane.redraw();
  showPlace();
  decode();
}

async function showWorst(measure = false) {
  const asked = state.run;
  get("measuring").textContent = measure ? "Measuring …" : "";
  get("measure").disabled = measure;
  try {
    const found = await askJson("worst", { run: asked, measure });
    if (asked !== state.run) return;
    await worstLists(get("lists"), found, { pixels: pixelsOf, choose });
    get("measure").hidden = Object.values(found).every((list) => list !== null);
  } catch (error) { problem(error); } finally {
    get("measuring").textContent = "";
    get("measure").disabled = false;
  }
}

function showPlane(fit) {
  const d = run().latent_dim, codes = state.codes[state.run], xy = new Float32Array((2 * codes.length) / d);
  for (let i = 0; i < codes.length / d; i++) state.axes.forEach((axis, k) => { xy[2 * i + k] = codes[i * d + axis]; });
  plane.xy = xy;
  plane.titles = state.axes.map(axisName);
  plane.version += 1;
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
  plane.regions = [];
  showPlane(true);
  place(code() ?? Array(d).fill(0));
  around();
  showWorst();
}

// The regions of the chosen image in the plane that is shown now.
function around() {
  get("to-posterior").hidden = true;
  if (state.image) looks.around(state.run, state.axes).catch(problem);
}

function chooseAxes() {
  const chosen = [Number(get("across").value), Number(get("up").value)];
  if (chosen[0] === chosen[1]) {  // the other one takes the place that is free
    const other = chosen[0] === state.axes[0] ? 0 : 1;
    chosen[other] = state.axes[1 - other];
    [get("across").value, get("up").value] = chosen;
  }
  state.axes = chosen;
  plane.regions = [];
  showPlane(true);
  place(code() ?? state.z);
  around();
}

// The numbers of images, by which they are chosen without a pointer.
function chooser(images) {
  const step = (by) => choose(((state.image?.image ?? -by) + by + images) % images);
  for (const id of ["index", "first", "last"]) get(id).max = images;
  [get("first").value, get("last").value] = [1, Math.min(2, images)];
  get("before").addEventListener("click", () => step(-1));
  get("after").addEventListener("click", () => step(1));
  get("choice").addEventListener("submit", (event) => event.preventDefault());
  get("ends").addEventListener("submit", (event) => event.preventDefault());
  get("index").addEventListener("change", () => { if (get("index").reportValidity()) choose(Number(get("index").value) - 1); });
  for (const id of ["first", "last"]) get(id).addEventListener("change", between);
  get("slide").addEventListener("input", slide);
  get("measure").addEventListener("click", () => showWorst(true));
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
  get("hold").addEventListener("change", () => place(code() ?? state.z));
  get("in").addEventListener("click", () => plane.zoom(1 / 1.25));
  get("out").addEventListener("click", () => plane.zoom(1.25));
  get("fit").addEventListener("click", () => { plane.fit(); plane.redraw(); });
  get("to-posterior").addEventListener("click", () => plane.show(plane.regions.flatMap((region) => region.lines)));
  looks = new Looks(get("cards"), { ask: askJson, coded, regions, apart });
  looks.begin(about.runs);
  themed(() => { plane.redraw(); looks.redraw(); legend(about.classes, about.labels); });
  chooser(about.images);
  if (about.drawing) {
    get("style").textContent = about.drawing.words;
    const easel = new Easel(get("canvas"), about.drawing.pen, drawn);
    get("clear").addEventListener("click", () => easel.clear());
  }
  get("easel").hidden = !about.drawing;
  get("no-drawing").hidden = Boolean(about.drawing);
  await chooseRun(0);
  between();
  document.documentElement.dataset.ready = "yes";
}

start().catch(problem);
