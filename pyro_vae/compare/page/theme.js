"use strict";
// One meaning for each colour and dash: colour and marker are the arm, the dash is the split, gray tones are parts of a gap.
const data = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 40rem)");
const DARK = ["#8ab4ff", "#ff7a4d", "#3fd0b4", "#d08bff", "#ff9ad5", "#ff6b81", "#7fa8e8", "#dba05f", "#a9c6a2", "#b3a1e6"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star", "hexagon"];
const DASHES = { test: "solid", validation: "dash", train: "dot" };
const STILL = { responsive: true, displayModeBar: false, doubleClick: false };
let printing = false;

const all = (selector) => [...document.querySelectorAll(selector)];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const chosen = (name) => all(`input[name="${name}"]:checked`).map((input) => input.value);
const palette = () => (dark.matches && !printing ? DARK : data.colours);
const colour = (arm) => palette()[data.arms.indexOf(arm) % data.colours.length];
const symbol = (arm) => SYMBOLS[data.arms.indexOf(arm) % SYMBOLS.length];
const nats = (value) => (value < 0 ? "" : "+") + value.toFixed(2);

function axis(title, more) {
  return { title: { text: title, standoff: 8 }, gridcolor: css("--grid"), zerolinecolor: css("--faint"), linecolor: css("--line"),
    automargin: true, ...more };
}

function layout(more) {
  return { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: narrow.matches ? false : "zoom",
    font: { color: css("--ink"), family: "system-ui, sans-serif", size: 13 }, margin: { l: 8, r: 12, t: 8, b: 45 },
    hoverlabel: { namelength: -1, bgcolor: css("--ink"), bordercolor: css("--ink"), font: { color: css("--paper") } }, ...more };
}

// A row of a picture for each arm: its name stands above its marks, so that a long one takes no room from them.
function rows(arms) {
  return {
    height: 62 + 48 * arms.length,
    yaxis: { range: [arms.length - 0.5, -0.7], showticklabels: false, showgrid: false, zeroline: false, fixedrange: true },
    annotations: arms.map((arm, i) => ({ xref: "paper", x: 0, xanchor: "left", y: i, yshift: 17, showarrow: false,
      text: arm.replace(/&/g, "&amp;").replace(/</g, "&lt;"), font: { color: css("--ink"), size: 13 } })),
  };
}

const SHAPES = {
  "circle": '<circle cx="8" cy="8" r="5"/>', "square": '<path d="M3.5 3.5h9v9h-9z"/>', "diamond": '<path d="M8 2l6 6-6 6-6-6z"/>',
  "triangle-up": '<path d="M8 2.5l6 10.5H2z"/>', "cross": '<path d="M6 2h4v4h4v4h-4v4H6v-4H2V6h4z"/>',
  "x": '<path d="M4.5 1.7L8 5.2l3.5-3.5 2.8 2.8L10.800 8l3.5 3.500-2.8 2.8L8 10.8l-3.5 3.500-2.8-2.8L5.200 8 1.7 4.500z"/>',
  "triangle-down": '<path d="M8 13.5L2 3h12z"/>', "star": '<path d="M8 1.500l2 4.300 4.700.600-3.500 3.200.900 4.700L8 12l-4.100 2.300.900-4.700L1.300 6.400 6 5.800z"/>',
  "hexagon": '<path d="M4.800 2.500h6.400L14.500 8l-3.300 5.500H4.800L1.500 8z"/>',
};

function keys() {
  for (const key of all(".key")) {
    const { arm } = key.dataset;
    key.innerHTML = `<svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" fill="${colour(arm)}">${SHAPES[symbol(arm)]}</svg>`;
  }
}
