"use strict";
// What all parts of the page share: elements, colours, and images from the bytes of the server.
const LIGHT = ["#5f91f6", "#f94212", "#09695c", "#a101e7", "#eb5fb4", "#750416", "#10336f", "#a33c0a", "#6f8b69", "#7259a2"];
const DARK = ["#8ab4ff", "#ff7a4d", "#3fd0b4", "#d08bff", "#ff9ad5", "#ff6b81", "#7fa8e8", "#dba05f", "#a9c6a2", "#b3a1e6"];

const get = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isDark = () => document.documentElement.dataset.theme === "dark";
const palette = () => (isDark() ? DARK : LIGHT);
const subscript = (n) => String(n).replace(/\d/g, (d) => "₀₁₂₃₄₅₆₇₈₉"[d]);
const axisName = (dimension) => `z${subscript(dimension + 1)}`;
const number = (value, digits = 2) => value.toFixed(digits).replace("-", "−");

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Pixels as the server sends them, (H, W, C), onto a canvas of as many pixels.
function paint(canvas, bytes, [height, width, channels]) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = bytes[channels * i + (channels === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function picture(label, bytes, shape) {
  const canvas = element("canvas", { className: "pixels", role: "img", "aria-label": label });
  paint(canvas, bytes, shape);
  return canvas;
}

// Which colour is which label, where the points are not written as their labels.
function legend(classes, labels) {
  if (!labels || !classes) return;
  const colours = palette(), short = classes.every((name) => name.length <= 2);
  get("legend").hidden = short;
  get("legend").replaceChildren(...classes.map((name, i) => {
    const dot = element("i");
    dot.style.background = colours[i % colours.length];
    return element("span", {}, dot, name);
  }));
}

// The page is light or dark as the system is, until its button says otherwise.
function themed(changed) {
  const system = matchMedia("(prefers-color-scheme: dark)"), button = get("theme");
  let own = null;
  const apply = () => {
    const dark = own ?? system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", dark ? "Light colours" : "Dark colours");
    changed();
  };
  button.addEventListener("click", () => { own = !isDark(); apply(); });
  system.addEventListener("change", apply);
  apply();
}
