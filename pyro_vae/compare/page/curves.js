"use strict";
// The traces: what is chosen, how far it is zoomed, and the picture of it.
const TITLES = { elbo: "ELBO", log_likelihood: "log-likelihood", kl: "KL(q(z|x) || p(z))",
  step: "steps of SVI", epoch: "epochs", seconds: "seconds of training" };
const WIDTHS = { test: 2, validation: 1.5, train: 1.5 };
const curves = { view: "late", smooth: 1, zoom: null, revision: 0 };

// The mean of each point and its neighbours, fewer at the ends.
function smoothed(values, width) {
  const half = Math.floor(width / 2);
  return values.map((_, i) => {
    const near = values.slice(Math.max(0, i - half), i + half + 1);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

function span(values, part) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const margin = part * (high - low || 1);
  return [low - margin, high + margin];
}

// The axes' ranges for the chosen view: all of it, the heights after the first quarter, or the last quarter.
function ranges(shown, x, term) {
  const xs = [], ys = [];
  const until = Math.max(...shown.map(({ trace }) => trace[x].at(-1)));
  for (const { trace } of shown) {
    trace[x].forEach((at, i) => {
      if (curves.view === "end" && at < 0.75 * until) return;
      xs.push(at);
      if (curves.view !== "late" || i >= Math.floor(trace[x].length / 4)) ys.push(trace[term][i]);
    });
  }
  return { x: span(xs, 0.02), y: span(ys, 0.05) };
}

function lines({ run, split, trace }, x, term) {
  const values = trace[term], mean = smoothed(values, curves.smooth);
  const step = Math.max(1, Math.ceil(values.length / 6));
  const line = { color: colour(run.arm), width: WIDTHS[split], dash: DASHES[split] };
  const marker = { symbol: symbol(run.arm), size: 8, color: colour(run.arm) };
  const parts = [{ x: trace[x], y: mean, type: "scatter", mode: "lines", line, showlegend: false, meta: { run: run.name, arm: run.arm, split },
    hovertemplate: `${run.name}, ${split}<br>${TITLES[x]} %{x}: %{y:.2f}<extra></extra>` }];
  const at = values.map((_, i) => i).filter((i) => i % step === step - 1 || i === values.length - 1);
  parts.push({ x: at.map((i) => trace[x][i]), y: at.map((i) => mean[i]), type: "scatter", mode: "markers", marker,
    showlegend: false, hoverinfo: "skip" });
  if (curves.smooth > 1) {
    parts.push({ x: trace[x], y: values, type: "scatter", mode: "lines", line: { ...line, width: 1 }, opacity: 0.25,
      showlegend: false, hoverinfo: "skip" });
  }
  return parts;
}

// The legend's entries, which are no curves: each arm, hidden ones pale, and each split that is shown.
function entries(arms, splits) {
  const empty = { x: [null], y: [null], type: "scatter", showlegend: true, hoverinfo: "skip" };
  const named = data.arms.filter((arm) => data.runs.some((run) => run.arm === arm)).map((arm) => ({ ...empty, name: arm,
    mode: "lines+markers", line: { color: colour(arm), width: 3 }, marker: { symbol: symbol(arm), size: 9, color: colour(arm) },
    visible: arms.includes(arm) ? true : "legendonly", meta: { key: "arm", value: arm } }));
  return [...named, ...splits.map((split) => ({ ...empty, name: split, mode: "lines", meta: { key: "split", value: split },
    line: { color: css("--faint"), width: 2, dash: DASHES[split] } }))];
}

function drawCurves() {
  const [term] = chosen("term"), [x] = chosen("x"), splits = chosen("split"), names = chosen("run");
  const runs = data.runs.filter((run) => names.includes(run.name));
  const shown = runs.flatMap((run) => splits.filter((split) => run.traces[split]).map((split) => ({ run, split, trace: run.traces[split] })));
  const fitted = shown.length ? ranges(shown, x, term) : { x: [0, 1], y: [0, 1] };
  const range = { ...fitted, ...curves.zoom };
  const empty = { text: "No curve is chosen: tick a run and a split above.", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 };
  Plotly.react("curves", [...shown.flatMap((one) => lines(one, x, term)), ...entries(runs.map((run) => run.arm), splits)], layout({
    uirevision: curves.revision, hovermode: "closest", margin: { l: 8, r: 12, t: 12, b: 45 },
    xaxis: axis(TITLES[x], { zeroline: false, range: range.x, visible: shown.length > 0 }),
    yaxis: axis(narrow.matches ? "" : `${TITLES[term]}, nats per ${data.one}`, { zeroline: false, range: range.y, visible: shown.length > 0 }),
    annotations: shown.length ? [] : [empty],
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", xanchor: "left", groupclick: "toggleitem" } }), STILL);
  const what = `${TITLES[term]}, nats per ${data.one}, against ${TITLES[x]}`;
  document.getElementById("shown").textContent =
    `${what}: ${shown.length} ${shown.length === 1 ? "curve" : "curves"} of ${runs.length} of ${data.runs.length} runs.`;
  document.getElementById("unzoom").disabled = curves.zoom === null;
  for (const button of all('button[name="view"]')) {
    button.setAttribute("aria-pressed", String(button.value === curves.view && curves.zoom === null));
  }
}

function unzoom() {
  curves.zoom = null;
  curves.revision += 1;
  drawCurves();
}

function tickArms() {
  for (const arm of all('input[name="arm"]')) {
    const runs = all('input[name="run"]').filter((run) => run.dataset.arm === arm.value);
    const on = runs.filter((run) => run.checked).length;
    arm.checked = on === runs.length;
    arm.indeterminate = on > 0 && on < runs.length;
  }
}

function tick({ key, value }, on) {
  for (const input of all(`input[name="${key === "arm" ? "run" : key}"]`)) {
    if ((key === "arm" ? input.dataset.arm : input.value) === value) input.checked = on;
  }
}

function listenToCurves() {
  const picture = document.getElementById("curves");
  picture.on("plotly_relayout", (change) => {
    if (!Object.keys(change).some((name) => name.includes(".range"))) return;
    curves.zoom = { x: [...picture.layout.xaxis.range], y: [...picture.layout.yaxis.range] };
    drawCurves();
  });
  picture.on("plotly_doubleclick", unzoom);
  picture.on("plotly_legendclick", (event) => {
    const { meta } = event.data[event.curveNumber];
    tick(meta, meta.key === "split" ? false : event.data[event.curveNumber].visible === "legendonly");
    tickArms();
    drawCurves();
    return false;
  });
  picture.on("plotly_legenddoubleclick", (event) => {
    const { meta } = event.data[event.curveNumber];
    for (const input of all(`input[name="${meta.key}"]`)) tick({ key: meta.key, value: input.value }, input.value === meta.value);
    tickArms();
    drawCurves();
    return false;
  });
  document.querySelector("#traces form").addEventListener("change", ({ target }) => {
    if (target.name === "arm") tick({ key: "arm", value: target.value }, target.checked);
    if (target.id === "smooth") curves.smooth = Number(target.value);
    if (curves.zoom && target.name === "term") delete curves.zoom.y; // its axis has another meaning now
    if (curves.zoom && target.name === "x") delete curves.zoom.x;
    tickArms();
    drawCurves();
  });
  for (const button of all('button[name="view"]')) {
    button.addEventListener("click", () => { curves.view = button.value; unzoom(); });
  }
  document.getElementById("unzoom").addEventListener("click", unzoom);
}
