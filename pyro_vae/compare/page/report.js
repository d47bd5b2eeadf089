"use strict";
// Draws the report's pictures from the numbers in it, in the colours of the reader's scheme.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 40rem)");
  const palettes = {
    light: ["#0b5cad", "#c2410c", "#15803d", "#7e22ce", "#946000", "#be123c", "#0f766e", "#475569"],
    dark: ["#6cb6ff", "#ffa657", "#7ee787", "#d2a8ff", "#e3b341", "#ff7b9c", "#56d4c8", "#b0bec5"],
  };
  const dashes = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
  const titles = { elbo: "ELBO", log_likelihood: "log-likelihood", kl: "KL(q(z|x) || p(z))",
    step: "steps of SVI", epoch: "epochs", seconds: "seconds of training" };
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
  const still = { responsive: true, displayModeBar: false };
  let view = "late";

  const all = (selector) => [...document.querySelectorAll(selector)];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const chosen = (name) => all(`input[name="${name}"]:checked`).map((input) => input.value);
  const colour = (arm) => {
    const palette = palettes[dark.matches ? "dark" : "light"];
    return palette[data.arms.indexOf(arm) % palette.length];
  };

  function axis(title, more) {
    return { title: { text: title }, gridcolor: css("--grid"), zerolinecolor: css("--faint"), linecolor: css("--line"),
      automargin: true, ...more };
  }

  function layout(more) {
    return { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: narrow.matches ? false : "zoom",
      font: { color: css("--ink"), family: "system-ui, sans-serif" }, margin: { l: 60, r: 12, t: 44, b: 50 },
      hoverlabel: { namelength: -1 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--faint"), activecolor: css("--ink") }, ...more };
  }

  function curves() {
    const [term] = chosen("term"), [x] = chosen("x"), splits = chosen("split"), runs = chosen("run");
    const widths = { test: 2, train: 1, validation: 1 };
    const drawn = [];
    const late = [];
    const named = new Set();
    for (const run of data.runs) {
      if (!runs.includes(run.name)) continue;
      for (const split of splits) {
        const trace = run.traces[split];
        if (!trace) continue;
        const group = `${run.arm}, ${split}`;
        const values = trace[term];
        late.push(...values.slice(Math.floor(values.length / 20)));
        drawn.push({ x: trace[x], y: values, type: "scatter", mode: values.length > 1 ? "lines" : "markers",
          name: splits.length > 1 ? group : run.arm, legendgroup: group, showlegend: !named.has(group),
          line: { color: colour(run.arm), width: widths[split], dash: split === "test"
            ? dashes[data.arms.indexOf(run.arm) % dashes.length] : split === "train" ? "dot" : "dash" },
          opacity: split === "test" ? 0.9 : 0.7,
          hovertemplate: `${run.name}, ${split}: %{y:.2f}<extra></extra>` });
        named.add(group);
      }
    }
    const low = Math.min(...late), high = Math.max(...late), margin = 0.05 * (high - low || 1);
    const y = axis(`${titles[term]}, nats per image`,
      view === "late" && late.length ? { range: [low - margin, high + margin] } : { autorange: true });
    Plotly.react("curves", drawn, layout({ xaxis: axis(titles[x]), yaxis: y, showlegend: drawn.length > 0,
      legend: { orientation: "h", y: -0.2, itemclick: false, itemdoubleclick: false }, hovermode: "closest" }), config);
    document.getElementById("shown").textContent =
      `${drawn.length} ${drawn.length === 1 ? "curve" : "curves"} shown, of ${data.runs.length} runs.`;
  }

  function differences() {
    const select = document.getElementById("difference-of");
    if (!select) return;
    const found = data.differences[select.value];
    const { title, better } = data.figures[select.value];
    Plotly.react("differences", [{
      type: "scatter", mode: "markers", x: found.map((row) => row.value), y: found.map((row) => row.arm),
      error_x: { type: "data", symmetric: false, thickness: 2, width: 6, array: found.map((row) => row.high - row.value),
        arrayminus: found.map((row) => row.value - row.low), color: css("--ink") },
      marker: { size: 11, color: found.map((row) => colour(row.arm)), line: { color: css("--ink"), width: 1 },
        symbol: found.map((row) => row.verdict === "no difference shown" ? "circle-open" : "circle") },
      text: found.map((row) => row.verdict), hovertemplate: "%{y}: %{x:.3f}, %{text}<extra></extra>",
    }], layout({ height: 130 + 46 * found.length, showlegend: false,
      xaxis: axis(`${title}, difference to ${data.baseline}` + (narrow.matches ? "" : `, nats per image; ${better}`),
        { zeroline: true, zerolinewidth: 2 }),
      yaxis: axis("", { range: [found.length - 0.5, -0.5], type: "category" }) }), still);
  }

  function gaps() {
    if (!data.gaps.length) return;
    const parts = [["approximation", "approximation gap", ""], ["amortization", "amortization gap", "/"]];
    const arms = data.gaps.map((gap) => gap.arm);
    Plotly.react("gaps", parts.map(([part, name, shape], i) => ({
      type: "bar", orientation: "h", name, y: arms, x: data.gaps.map((gap) => gap[part].value),
      marker: { color: palettes[dark.matches ? "dark" : "light"][i],
        pattern: { shape, fillmode: "overlay", fgcolor: css("--paper"), solidity: 0.2, size: 7 } },
      hovertemplate: `%{y}, ${name}: %{x:.2f}<extra></extra>`,
    })), layout({ barmode: "relative", height: 150 + 46 * arms.length, legend: { orientation: "h", y: 1.15 },
      xaxis: axis("log p(x) − ELBO, nats per image"),
      yaxis: axis("", { autorange: "reversed", type: "category" }) }), still);
  }

  function swatches() {
    for (const swatch of all(".swatch")) {
      const i = data.arms.indexOf(swatch.dataset.arm);
      swatch.style.borderTopColor = colour(swatch.dataset.arm);
      swatch.style.borderTopStyle = { solid: "solid", dot: "dotted" }[dashes[i % dashes.length]] || "dashed";
    }
  }

  function arms() {
    for (const arm of all('input[name="arm"]')) {
      const runs = all('input[name="run"]').filter((run) => run.dataset.arm === arm.value);
      const on = runs.filter((run) => run.checked).length;
      arm.checked = on === runs.length;
      arm.indeterminate = on > 0 && on < runs.length;
    }
  }

  function draw() {
    swatches();
    curves();
    differences();
    gaps();
  }

  document.querySelector("#traces form").addEventListener("change", (event) => {
    if (event.target.name === "arm") {
      for (const run of all('input[name="run"]')) {
        if (run.dataset.arm === event.target.value) run.checked = event.target.checked;
      }
    }
    arms();
    curves();
  });
  for (const id of ["late", "whole"]) {
    document.getElementById(id).addEventListener("click", () => { view = id; curves(); });
  }
  document.getElementById("difference-of")?.addEventListener("change", differences);
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  draw();
})();
