"use strict";
// Words that explain themselves, tables that say when they are cut, pictures that enlarge, and paper.
function explain() {
  const tip = document.getElementById("tip");
  let word = null;
  const hide = () => { word = null; tip.hidden = true; };
  const place = () => {
    if (!word) return;
    const at = word.getBoundingClientRect(), size = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
    tip.style.top = `${at.bottom + size.height + 14 < innerHeight ? at.bottom + 6 : Math.max(8, at.top - size.height - 6)}px`;
  };
  const show = ({ currentTarget }) => {
    word = currentTarget;
    tip.textContent = document.getElementById(word.getAttribute("aria-describedby")).textContent;
    tip.hidden = false;
    place();
  };
  for (const one of all(".term")) {
    one.addEventListener("mouseenter", show);
    one.addEventListener("focus", show);
    one.addEventListener("mouseleave", hide);
    one.addEventListener("blur", hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", place, { passive: true, capture: true }); // a focus scrolls to its word
}

function markCut() {
  for (const table of all(".wide")) {
    const box = table.querySelector(".scroll");
    const cut = box.scrollWidth > box.clientWidth + 1;
    table.classList.toggle("cut", cut && box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
    table.querySelector(".hint").hidden = !cut;
  }
}

// In the dark a picture is inverted, and over it lie its own images as they are.
function frame(button) {
  const image = button.querySelector("img");
  for (const inset of JSON.parse(button.dataset.insets)) {
    const inner = image.cloneNode();
    inner.className = "inner";
    inner.alt = "";
    inner.style.clipPath = `inset(${inset})`;
    button.append(inner);
  }
  button.classList.add("ready");
}

function enlarge() {
  const large = document.getElementById("large");
  if (!large) return;
  for (const button of all(".gallery .frame")) {
    frame(button);
    button.addEventListener("click", () => {
      const copy = document.createElement("div");
      copy.className = button.className;
      copy.append(...[...button.querySelectorAll("img")].map((image) => image.cloneNode()));
      copy.firstElementChild.alt = copy.firstElementChild.alt.replace("; enlarge", "");
      const { width, height } = button.querySelector("img");
      const natural = button.querySelector("img").naturalWidth || width;
      const wide = Math.min(2 * natural, innerWidth * 0.92, (innerHeight * 0.82 * width) / height);
      copy.style.width = `${Math.max(wide, narrow.matches ? 640 : 0)}px`; // a telephone scrolls it
      large.lastElementChild.replaceChildren(copy);
      large.showModal();
    });
  }
  large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
}

function draw() {
  keys();
  drawCurves();
  drawDifferences();
  drawGaps();
  drawSources();
  markCut();
}

draw();
listenToCurves();
explain();
enlarge();
document.getElementById("difference-of")?.addEventListener("change", drawDifferences);
for (const box of all(".scroll")) box.addEventListener("scroll", markCut, { passive: true });
addEventListener("resize", markCut);
dark.addEventListener("change", draw);
narrow.addEventListener("change", draw);
addEventListener("beforeprint", () => { printing = true; draw(); });
addEventListener("afterprint", () => { printing = false; draw(); });
