"use strict";
// What both pages need. Names of classes, files and runs come from users: they are only ever put in as text.
const $ = (id) => document.getElementById(id);

function element(name, text, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Plotly takes its own texts for a little HTML.
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const PLOT = { responsive: true, displaylogo: false, scrollZoom: true,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

function layout(more) {
  const font = { family: "system-ui, sans-serif", size: 13, color: "#1b1b1b" };
  return { font, margin: { l: 60, r: 15, t: 32, b: 45 }, hovermode: "closest", dragmode: "pan", ...more };
}

const axis = (title, more = {}) => ({ title: { text: plain(title), standoff: 12 }, automargin: true, zeroline: false, ...more });

// ---- any table is sorted by a press on a column's name: by its numbers, where it holds nothing else
function numberIn(text) {
  const found = text.replaceAll(",", "").match(/^[^\d+-]*([+-]?\d+(?:\.\d+)?)/);
  return found ? parseFloat(found[1]) : NaN;
}

function sortBy(table, column, up) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, text: row.cells[column]?.textContent.trim() ?? "" }));
  const filled = rows.filter(({ text }) => text && text !== "–");
  const numeric = filled.every(({ text }) => /^[+-]?[\d.,]/.test(text) && !/^\d{4}-\d\d-\d\d$/.test(text));
  rows.sort((a, b) => {
    if (!numeric) return a.text.localeCompare(b.text) * (up ? 1 : -1);
    const [x, y] = [numberIn(a.text), numberIn(b.text)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // what is missing comes last
    return (x - y) * (up ? 1 : -1);
  });
  body.append(...rows.map(({ row }) => row));
  [...table.tHead.rows[0].cells].forEach((cell, i) =>
    i === column ? cell.setAttribute("aria-sort", up ? "ascending" : "descending") : cell.removeAttribute("aria-sort"));
}

function makeSortable(table) {
  [...(table.tHead?.rows[0]?.cells ?? [])].forEach((cell, column) => {
    const button = element("button", cell.textContent, { type: "button" });
    cell.replaceChildren(button);
    button.onclick = () => sortBy(table, column, cell.getAttribute("aria-sort") !== "ascending");
  });
}
document.querySelectorAll("table").forEach(makeSortable);

const wordsOf = (input) => input.value.toLowerCase().split(/\s+/).filter(Boolean);
const has = (text, words) => words.every((word) => text.toLowerCase().includes(word));
const title = (name) => name.replaceAll("_", " ");

// ---- curves: the columns of some histories against one of them
const AGAINST = ["iteration", "epoch", "minutes"];

function withMinutes(history) {
  let sum = 0;
  const seconds = history.seconds ?? [];
  return { ...history, ...(seconds.length ? { minutes: seconds.map((each) => (sum += each ?? 0) / 60) } : {}) };
}

function drawCurves(place, histories, column, against, logarithmic, colours) {
  const dashes = ["solid", "dash", "dot", "dashdot"];
  const traces = histories.filter(({ history }) => history[column]).map(({ name, history }, i) => ({
    type: "scatter", mode: (history[column].length > 40 ? "lines" : "lines+markers"), name: plain(name),
    x: history[against], y: history[column], connectgaps: true,
    line: { color: colours[i % colours.length], dash: dashes[Math.floor(i / colours.length) % 4], width: 2 },
    marker: { symbol: i % 8, size: 6 },
  }));
  const legend = { orientation: "h", y: -0.2, yanchor: "top", font: { size: 11 } };
  return Plotly.react(place, traces, layout({ xaxis: axis(title(against)), showlegend: traces.length > 1, legend,
    yaxis: axis(title(column), { type: logarithmic ? "log" : "linear" }) }), PLOT);
}
