"use strict";
const COLOURS = {{ colours | tojson }};
const kinds = { uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, int32: Int32Array };

function unpack({ kind, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new kinds[kind](bytes.buffer);
}

const P = window.points;
for (const name of ["x", "y", "cluster", "class", "confidence", "nearest"]) P[name] = unpack(P[name]);
const K = P.sizes.length;
const known = P.classNames.length > 0;
const nearestOf = (i) => [...P.nearest.subarray(i * (P.nearest.length / P.n), (i + 1) * (P.nearest.length / P.n))].filter((j) => j >= 0);
const clusterName = (j) => (P.clusterNames[j] ? `${j}: ${P.clusterNames[j]}` : `${j}`);
const className = (y) => P.classNames[y] ?? "unknown";
const percent = (i) => `${Math.round((100 * P.confidence[i]) / 255)} %`;
const numberOf = (i) => (P.rows.length ? P.rows[i] : i);
const said = (i) => [`image ${numberOf(i)}`, ...(P.files.length ? [P.files[i]] : []), `cluster ${clusterName(P.cluster[i])}`,
  ...(known ? [`class ${className(P.class[i])}`] : []), `confidence ${percent(i)}`];

// ---- an image out of its sheet, which is loaded when it is first shown
function tile(i, size) {
  const { tile: [width, height], wide, tiles } = P.sheet;
  const scale = size / Math.max(width, height);
  const at = i % tiles;
  const lines = Math.ceil(Math.min(tiles, P.n - (i - at)) / wide);
  const place = element("span", undefined, { className: "tile" });
  Object.assign(place.style, {
    width: `${width * scale}px`, height: `${height * scale}px`,
    backgroundImage: `url(sheet-${Math.floor(i / tiles)}.png)`,
    backgroundSize: `${wide * width * scale}px ${lines * height * scale}px`,
    backgroundPosition: `-${(at % wide) * width * scale}px -${Math.floor(at / wide) * height * scale}px`,
    imageRendering: scale >= 1 ? "pixelated" : "auto",
  });
  return place;
}

function pictures(rows, size, isOther = () => false) {
  const line = element("div", undefined, { className: "pictures" });
  for (const i of rows) {
    const button = element("button", undefined, { type: "button", title: said(i).join(", ") });
    button.setAttribute("aria-label", said(i).join(", "));
    button.classList.toggle("other", isOther(i));
    button.append(tile(i, size));
    button.onclick = () => choose(i, true);
    line.append(button);
  }
  return line;
}

// ---- the map
let drawn = []; // the rows of each trace
const SHADES = "Viridis";

function passes(i) {
  const cluster = $("cluster-filter").value;
  const label = $("class-filter").value;
  return (cluster === "" || P.cluster[i] === +cluster) && (label === "" || P.class[i] === +label)
    && P.confidence[i] <= 2.55 * $("confidence-filter").value + 0.5;
}

function traces() {
  const by = $("colour").value;
  const rows = Array.from({ length: P.n }, (_, i) => i).filter(passes);
  const groups = new Map();
  for (const i of rows) {
    const key = by === "confidence" ? 0 : P[by][i];
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(i);
  }
  const size = P.n > 20000 ? 3 : P.n > 2000 ? 5 : 8;
  drawn = [...groups.keys()].sort((a, b) => a - b).map((key) => groups.get(key));
  return [rows.length, drawn.map((group) => {
    const key = by === "confidence" ? 0 : P[by][group[0]];
    const marker = by === "confidence"
      ? { color: group.map((i) => P.confidence[i] / 2.55), colorscale: SHADES, cmin: 0, cmax: 100, size,
        colorbar: { title: { text: "confidence, %" }, thickness: 14 } }
      : { color: COLOURS[((key % COLOURS.length) + COLOURS.length) % COLOURS.length], size, opacity: 0.75 };
    const name = by === "confidence" ? "" : by === "cluster" ? `cluster ${clusterName(key)}` : className(key);
    return { type: "scattergl", mode: "markers", name: plain(name), hoverinfo: "none", marker,
      x: group.map((i) => P.x[i]), y: group.map((i) => P.y[i]) };
  })];
}

const mark = (i) => ({ type: "scattergl", mode: "markers", hoverinfo: "skip", showlegend: false, x: [P.x[i]], y: [P.y[i]],
  marker: { size: 16, symbol: "circle-open", color: "#000", line: { width: 3 } } });
let chosen = -1;

function drawMap() {
  const [count, all] = traces();
  $("shown").textContent = `${count.toLocaleString("en")} of ${P.n.toLocaleString("en")} images shown`;
  const hidden = { showticklabels: false, showgrid: false, zeroline: false };
  Plotly.react("map", chosen < 0 ? all : [...all, mark(chosen)], layout({
    xaxis: hidden, yaxis: hidden, margin: { l: 5, r: 5, t: 32, b: 5 }, uirevision: "stays",
    showlegend: $("colour").value !== "confidence", legend: { itemsizing: "constant", orientation: "h", y: 0, yanchor: "top" } }), PLOT);
}

function choose(i, fromImage) {
  chosen = i;
  $("number").value = numberOf(i);
  const about = element("div");
  const big = tile(i, 128);
  big.id = "chosen-tile";
  const lines = element("p", said(i).join(" · "));
  about.append(big, lines, element("h3", "The nearest to it"), pictures(nearestOf(i), 56, (j) => known && P.class[j] !== P.class[i]));
  $("chosen").replaceChildren(about);
  drawMap();
  if (fromImage) $("chosen").scrollIntoView({ block: "nearest" });
}

function fillFilter(select, what, labels) {
  select.append(element("option", `all ${what}`, { value: "" }), ...labels.map((text, i) => element("option", text, { value: i })));
  select.onchange = drawMap;
}
fillFilter($("cluster-filter"), "clusters", P.sizes.map((_, j) => clusterName(j)));
fillFilter($("class-filter"), "classes", P.classNames);
$("class-filter").closest("label").hidden = !known;
if (!known) $("colour").querySelector("[value=class]").remove();
$("colour").onchange = drawMap;
$("confidence-filter").oninput = () => {
  $("confidence-said").textContent = `${$("confidence-filter").value} %`;
};
$("confidence-filter").onchange = drawMap;
$("number").max = numberOf(P.n - 1);
$("number").onchange = () => {
  const i = P.rows.length ? P.rows.indexOf(+$("number").value) : +$("number").value;
  if (Number.isInteger(i) && i >= 0 && i < P.n) choose(i, false);
};
drawMap();
$("map").on("plotly_hover", ({ points: [point], event }) => {
  const i = drawn[point.curveNumber]?.[point.pointNumber];
  if (i === undefined) return;
  $("under").replaceChildren(tile(i, 84), ...said(i).map((line) => element("div", line)));
  $("under").hidden = false;
  const right = event.clientX + 260 > innerWidth;
  const low = event.clientY + 220 > innerHeight;
  Object.assign($("under").style, { left: `${event.clientX + (right ? -250 : 15)}px`, top: `${event.clientY + (low ? -210 : 15)}px` });
});
$("map").on("plotly_unhover", () => { $("under").hidden = true; });
$("map").on("plotly_click", ({ points: [point] }) => {
  const i = drawn[point.curveNumber]?.[point.pointNumber];
  if (i !== undefined) choose(i, false);
});

// ---- how clusters and classes meet
const counts = P.classNames.map(() => new Array(K).fill(0));
for (let i = 0; i < P.n; i += 1) if (P.class[i] >= 0) counts[P.class[i]][P.cluster[i]] += 1;
const most = (j) => counts.reduce((best, line, y) => (line[j] > counts[best][j] ? y : best), 0);

if (known) {
  const sums = counts.map((line) => Math.max(1, line.reduce((a, b) => a + b, 0)));
  const columns = P.sizes.map((_, j) => clusterName(j));
  Plotly.newPlot("meeting", [{
    type: "heatmap", z: counts.map((line, y) => line.map((n) => (100 * n) / sums[y])), text: counts,
    x: columns.map(plain), y: P.classNames.map(plain), colorscale: "Blues", reversescale: true, zmin: 0, zmax: 100,
    texttemplate: K <= 20 ? "%{text:,}" : undefined, hovertemplate: "class %{y}, cluster %{x}: %{text:,} images<extra></extra>",
    colorbar: { title: { text: "% of the class" }, thickness: 14 },
  }], layout({ xaxis: axis("cluster", { type: "category" }), yaxis: axis("class", { type: "category", autorange: "reversed" }) }), PLOT);
  const head = element("tr");
  head.append(element("th", "class"), ...columns.map((name) => element("th", name)));
  $("meeting-table").tHead.append(head);
  counts.forEach((line, y) => {
    const row = element("tr");
    row.append(element("td", P.classNames[y]), ...line.map((n) => element("td", n.toLocaleString("en"))));
    $("meeting-table").tBodies[0].append(row);
  });
  makeSortable($("meeting-table"));
} else {
  $("meeting-none").hidden = false;
  $("meeting").hidden = $("meeting-table").hidden = $("frames").hidden = true;
}

// ---- clusters
P.sizes.forEach((size, j) => {
  const part = element("article");
  const share = known && size ? `, ${Math.round((100 * counts[most(j)][j]) / Math.max(1, counts.reduce((sum, line) => sum + line[j], 0)))} % ${className(most(j))}` : "";
  const isOther = (i) => known && P.class[i] !== most(j);
  part.append(element("h3", `Cluster ${clusterName(j)}: ${size.toLocaleString("en")} images${share}`),
    element("div", "the most typical", { className: "faint" }), pictures(P.typical[j], 48, isOther),
    element("div", "the most doubtful", { className: "faint" }), pictures(P.doubtful[j], 48, isOther));
  $("cluster-list").append(part);
});

// ---- curves
const histories = Object.fromEntries(Object.entries(window.recorded.curves[""]).map(([name, each]) => [name, withMinutes(each)]));
if (Object.keys(histories).length) {
  $("curve-kind").replaceChildren(...Object.keys(histories).map((name) => element("option", title(name), { value: name })));
  const columns = () => {
    const names = Object.keys(histories[$("curve-kind").value]).filter((name) => ![...AGAINST, "seconds"].includes(name));
    $("curve-column").replaceChildren(...names.map((name) => element("option", title(name), { value: name })));
    if (names.includes("loss")) $("curve-column").value = "loss";
  };
  const draw = () => drawCurves("curve-plot", [{ name: $("curve-kind").value, history: histories[$("curve-kind").value] }],
    $("curve-column").value, "iteration", $("curve-log").checked, COLOURS);
  $("curve-kind").onchange = () => { columns(); draw(); };
  $("curve-column").onchange = $("curve-log").onchange = draw;
  columns();
  draw();
} else $("curves").hidden = true;
