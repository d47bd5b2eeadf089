"use strict";
// Differences with their intervals, the split gap, and where differences come from.
function ends(found) {
  return { type: "data", symmetric: false, array: found.map((one) => one.high - one.value),
    arrayminus: found.map((one) => one.value - one.low), color: css("--ink") };
}

function drawDifferences() {
  const select = document.getElementById("difference-of");
  if (!select) return;
  const found = data.differences[select.value];
  const { title, better, unit } = data.figures[select.value];
  const inNats = unit === "nats per image", digits = inNats ? 2 : 3;
  const signed = (value) => (value < 0 ? "" : "+") + value.toFixed(digits);
  document.getElementById("of-nats").hidden = !inNats;
  document.getElementById("of-unit").hidden = inNats;
  document.getElementById("of-unit").textContent = unit;
  const banded = select.value === "elbo";
  document.getElementById("band").hidden = !banded;
  const lines = found.map(({ arm }) => colour(arm));
  const band = { type: "rect", xref: "x", yref: "paper", x0: -data.margin, x1: data.margin, y0: 0, y1: 1, line: { width: 0 },
    fillcolor: css("--band"), layer: "below" };
  Plotly.react("differences", [{ type: "scatter", mode: "markers", x: found.map((row) => row.value), y: found.map((_, i) => i),
    error_x: { ...ends(found), thickness: 2, width: 5 },
    marker: { size: 12, color: found.map((row, i) => (row.shown ? lines[i] : css("--paper"))), opacity: 1,
      symbol: found.map((row) => symbol(row.arm)), line: { color: lines, width: 2.5 } },
    customdata: found.map((row) => [row.arm, `${signed(row.value)} [${signed(row.low)}, ${signed(row.high)}]`, row.shown ? "shown" : "no difference shown"]),
    hovertemplate: "%{customdata[0]}: %{customdata[1]}<br>%{customdata[2]}<extra></extra>",
  }], layout({ ...rows(found.map((row) => row.arm)), showlegend: false, dragmode: false, shapes: banded ? [band] : [],
    xaxis: axis(narrow.matches ? better : `${title} minus ${data.baseline}'s; ${better}`,
      { zeroline: true, zerolinewidth: 2, fixedrange: true }) }), STILL);
}

function part(name, values, arms, tone, hatch) {
  return { type: "bar", orientation: "h", name, x: values, y: arms.map((_, i) => i), width: 0.36,
    marker: { color: css(tone), line: { color: css("--ink"), width: 0.5 },
      pattern: { shape: hatch, fillmode: "overlay", fgcolor: css("--paper"), solidity: 0.25, size: 7 } },
    customdata: arms, hovertemplate: `%{customdata}, ${name}: %{x:.2f}<extra></extra>` };
}

function drawGaps() {
  if (!data.gaps.length) return;
  const arms = data.gaps.map((gap) => gap.arm), whole = data.gaps.map((gap) => gap.inference);
  const said = (name) => data.gaps.map((gap) => `${gap.arm}, ${name}: ${gap[name.split(" ")[0]].value.toFixed(2)} `
    + `[${gap[name.split(" ")[0]].low.toFixed(2)}, ${gap[name.split(" ")[0]].high.toFixed(2)}]`);
  const bars = [["approximation gap", "--family", ""], ["amortization gap", "--encoder", "/"]].map(([name, tone, hatch]) => ({
    ...part(name, data.gaps.map((gap) => gap[name.split(" ")[0]].value), arms, tone, hatch),
    customdata: said(name), hovertemplate: "%{customdata}<extra></extra>" }));
  const interval = { type: "scatter", mode: "markers", x: whole.map((one) => one.value), y: arms.map((_, i) => i),
    marker: { size: 7, color: css("--ink"), symbol: "line-ns-open", line: { width: 2 } }, error_x: { ...ends(whole), thickness: 2, width: 5 },
    customdata: said("inference gap"), hovertemplate: "%{customdata}<extra></extra>" };
  Plotly.react("gaps", [...bars, interval], layout({ ...rows(arms), barmode: "relative", showlegend: false, dragmode: false,
    xaxis: axis(`log p(x) − ELBO, nats per ${data.one}`, { zeroline: true, fixedrange: true }) }), STILL);
}

function drawSources() {
  if (!document.getElementById("sources")) return;
  const arms = data.sources.map((row) => row.arm);
  const said = (name) => data.sources.map((row) =>
    `${row.arm}, ${name}: ${nats(row[name].value)} [${nats(row[name].low)}, ${nats(row[name].high)}]`);
  const bars = [["model", "--model", ""], ["family", "--family", ""], ["encoder", "--encoder", "/"]].map(([name, tone, hatch]) => ({
    ...part(name, data.sources.map((row) => row[name].value), arms, tone, hatch),
    customdata: said(name), hovertemplate: "%{customdata}<extra></extra>" }));
  const whole = data.sources.map((row) => row.elbo);
  const sum = { type: "scatter", mode: "markers", x: whole.map((one) => one.value), y: arms.map((_, i) => i),
    error_x: { ...ends(whole), thickness: 2, width: 5 },
    marker: { symbol: "diamond", size: 10, color: css("--ink"), line: { color: css("--paper"), width: 1.5 } },
    customdata: data.sources.map((row) => `${row.arm}, ELBO: ${nats(row.elbo.value)} [${nats(row.elbo.low)}, ${nats(row.elbo.high)}]`),
    hovertemplate: "%{customdata}<extra></extra>" };
  Plotly.react("sources", [...bars, sum], layout({ ...rows(arms), barmode: "relative", showlegend: false, dragmode: false,
    xaxis: axis(narrow.matches ? "right is better" : `minus ${data.leader}'s, nats per ${data.one}; right is better`,
      { zeroline: true, zerolinewidth: 2, fixedrange: true }) }), STILL);
}
