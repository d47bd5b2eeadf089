"use strict";
// One image under every run: the posterior and q in a plane, the reconstruction, and the numbers.
const FIGURES = [["elbo", "ELBO"], ["evidence", "log p(x)"], ["gap", "gap"], ["k_hat", "k-hat"]];

class Looks {
  // `ask(name, fields, signal)` gives the server's answer; `coded(run, code)` is called when a code is known,
  // `regions(run, found)` when a run's are, and `apart(run, axes)` when the plane where q differs most is asked for.
  constructor(root, { ask, coded, regions, apart }) {
    Object.assign(this, { root, ask, coded, regions, apart, cards: [], found: [] });
  }

  begin(runs) {
    this.runs = runs;
    this.cards = runs.map((run, i) => {
      const figures = element("dl", { className: "figures" }, ...FIGURES.map(([name, title]) => element("div", {},
        element("dt", { textContent: title }), element("dd", { id: `figure-${i}-${name}`, textContent: "…" }))));
      const mini = element("canvas", { className: "mini", role: "img" });
      const images = element("div"), more = element("button", { type: "button", hidden: true, textContent: "The axes where q differs most" });
      more.addEventListener("click", () => this.apart(i, this.found[i].apart));
      const card = element("article", { className: "card" }, element("h3", {}, run.name, element("span", { textContent: run.guide })),
        element("div", { className: "sides" }, mini, images), figures, more);
      return { card, mini, images, more };
    });
    this.root.replaceChildren(...this.cards.map(({ card }) => card));
  }

  // Ask about an image; what was asked about another one is given up. The cheap answers of all runs come first.
  async show(key, axesOf) {
    this.asked?.abort();
    const { signal } = (this.asked = new AbortController());
    this.key = key;
    this.found = this.runs.map(() => null);
    this.cards.forEach((card, i) => this.empty(card, i));
    const every = [...this.runs.keys()];
    for (const run of every) this.own(run, await this.ask("own", { run, ...key }, signal));
    for (const run of every) this.evidence(run, await this.ask("evidence", { run, ...key }, signal));
    for (const run of every) await this.around(run, axesOf(run), signal);
  }

  // The regions again, in another plane.
  async around(run, axes, signal = this.asked?.signal) {
    const found = await this.ask("regions", { run, axes, ...this.key }, signal);
    this.found[run] = { ...found, axes };
    this.mini(run);
    this.cards[run].more.hidden = this.runs[run].latent_dim === 2 || String(found.apart) === String([...axes].sort((a, b) => a - b));
    this.regions(run, this.found[run]);
  }

  empty({ mini, more, images }, i) {
    mini.getContext("2d").clearRect(0, 0, mini.width, mini.height);
    mini.setAttribute("aria-label", "The posterior is being measured");
    more.hidden = true;
    images.replaceChildren();
    for (const [name] of FIGURES) { get(`figure-${i}-${name}`).textContent = "…"; delete get(`figure-${i}-${name}`).dataset.value; }
  }

  figure(run, name, estimate, why) {
    const place = get(`figure-${run}-${name}`);
    place.replaceChildren();
    if (!estimate) { place.textContent = "none"; place.title = why ?? ""; return; }
    place.dataset.value = estimate.value;
    place.title = `${estimate.estimator}, ${estimate.samples.toLocaleString("en")} samples`;
    place.append(number(estimate.value));
    const error = estimate.sampling_error;
    if (error !== null) place.append(" ", element("small", { textContent: `± ${number(error)}` }));
  }

  own(run, found) {
    this.coded(run, found.code);
    this.figure(run, "elbo", found.elbo, found.why);
    this.figure(run, "k_hat", found.k_hat, found.why);
    const bytes = (image) => Uint8Array.from(atob(image.pixels), (c) => c.charCodeAt(0));
    const named = [["seen", this.runs[run].binary ? "as the model sees it" : "image"], ["reconstruction", "reconstruction"]];
    this.cards[run].images.replaceChildren(...named.map(([name, caption]) => element("figure", {},
      picture(`${caption}, ${this.runs[run].name}`, bytes(found[name]), found[name].shape), element("figcaption", { textContent: caption }))));
  }

  evidence(run, found) {
    this.figure(run, "evidence", found.evidence);
    this.figure(run, "gap", found.gap, "the guide has no density, so that there is no ELBO");
  }

  mini(run) {
    const { mini } = this.cards[run], found = this.found[run], side = mini.clientWidth, ratio = window.devicePixelRatio || 1;
    if (!found || !side) return;
    Object.assign(mini, { width: side * ratio, height: side * ratio });
    const context = mini.getContext("2d"), corners = [...found.own, ...found.true].flat();
    context.scale(ratio, ratio);
    const ends = [0, 1].map((axis) => corners.map((corner) => corner[axis])).map((v) => [Math.min(...v), Math.max(...v)]);
    const scale = (side - 44) / Math.max(1e-6, ...ends.map(([low, high]) => high - low));
    const toPixels = (x, y) => [side / 2 + (x - (ends[0][0] + ends[0][1]) / 2) * scale, side / 2 - (y - (ends[1][0] + ends[1][1]) / 2) * scale];
    outline(context, { lines: found.true, filled: true }, toPixels);
    outline(context, { lines: found.own }, toPixels);
    context.fillStyle = css("--faint");
    context.font = "11px system-ui, sans-serif";
    context.fillText(`${axisName(found.axes[1])}: ${number(ends[1][0])} to ${number(ends[1][1])}`, 7, 15);
    context.textAlign = "right";
    context.fillText(`${axisName(found.axes[0])}: ${number(ends[0][0])} to ${number(ends[0][1])}`, side - 7, side - 8);
    mini.setAttribute("aria-label", `q(z|x) of ${this.runs[run].name} on the true posterior, by ${found.how}`);
  }

  redraw() { this.cards.forEach((_, run) => this.mini(run)); }
}
