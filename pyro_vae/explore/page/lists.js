"use strict";
// Images in rows: those between two others, and those where the guide does worst.
const BETWEEN = 11;
const TITLES = { inference_gap: "Largest gap, nats", k_hat: "Largest k-hat" };

// A row for each run: the first image, what is decoded between the codes of both, the last one.
async function strips(root, runs, first, last, { pixels }) {
  const ends = await Promise.all([first, last].map((image) => pixels("image", { image })));
  const rows = await Promise.all(runs.map((_, run) => pixels("line", { run, first, last, count: BETWEEN })));
  const size = ends[0].bytes.length;
  root.replaceChildren(...rows.map(({ bytes, shape }, run) => {
    const shown = [...Array(BETWEEN).keys()].map((i) =>
      picture(`${Math.round((100 * i) / (BETWEEN - 1))}% of the way, ${runs[run].name}`, bytes.subarray(i * size, (i + 1) * size), shape.slice(1)));
    const [before, after] = ends.map((end, i) => picture(`test image ${[first, last][i] + 1}`, end.bytes, end.shape.slice(1)));
    return element("figure", { className: "strip" }, element("div", {}, before, ...shown, after), element("figcaption", { textContent: runs[run].name }));
  }));
}

// The worst images of a run as buttons; `null` in place of a list is one that is not measured yet.
async function worstLists(root, found, { pixels, choose }) {
  const made = await Promise.all(Object.entries(found).map(async ([name, list]) => {
    const title = element("h3", { textContent: TITLES[name] });
    if (!list) return element("div", {}, title, element("p", { className: "note", textContent: "Not measured yet: evaluate measures all images, the button below a few." }));
    const items = await Promise.all(list.worst.map(async ({ image, value }) => {
      const { bytes, shape } = await pixels("image", { image });
      const button = element("button", { type: "button", "aria-label": `Test image ${image + 1}, ${number(value)}` },
        picture("", bytes, shape.slice(1)), element("span", { textContent: number(value) }));
      button.addEventListener("click", () => choose(image));
      return element("li", {}, button);
    }));
    return element("div", {}, title, element("ul", { className: "thumbs" }, ...items), element("p", { className: "note", textContent: `${list.how[0].toUpperCase()}${list.how.slice(1)}.` }));
  }));
  root.replaceChildren(...made);
}
