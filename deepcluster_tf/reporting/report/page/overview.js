"use strict";
// ---- the list of runs
function filterRuns() {
  const words = wordsOf($("run-search"));
  const of = $("run-table").value;
  let shown = 0;
  for (const row of $("run-list").tBodies[0].rows) {
    row.hidden = !has(row.textContent, words) || (of && !row.dataset.tables.split(" ").includes(of));
    shown += !row.hidden;
  }
  $("run-count").textContent = `${shown} of ${$("run-list").tBodies[0].rows.length} runs`;
}
$("run-search").oninput = filterRuns;
$("run-table").onchange = filterRuns;
for (const button of document.querySelectorAll(".runs-of")) {
  button.onclick = () => {
    $("run-table").value = button.dataset.table;
    $("run-search").value = "";
    filterRuns();
    $("runs").scrollIntoView();
    $("run-table").focus({ preventScroll: true });
  };
}
filterRuns();

// ---- curves
const COLOURS = {{ colours | tojson }};
if (!window.undrawn && window.recorded && window.Plotly) {
  $("curves-missing").hidden = true;
  $("curves-tools").hidden = false;
  const all = Object.entries(window.recorded.curves).flatMap(([run, histories]) =>
    Object.entries(histories).map(([kind, history]) => ({
      name: kind === "history" ? run : `${run} ${kind}`, history: withMinutes(history) })));
  const chosen = new Set();
  const options = (select, names, preferred) => {
    const before = select.value || preferred;
    select.replaceChildren(...names.map((name) => element("option", title(name), { value: name })));
    if (names.includes(before)) select.value = before;
  };
  const redraw = () => {
    const histories = all.filter(({ name }) => chosen.has(name));
    const found = (histories.length ? histories : all).map(({ history }) => Object.keys(history));
    const columns = [...new Set(found.flat())].filter((name) => ![...AGAINST, "seconds"].includes(name)).sort();
    options($("curve-column"), columns, "loss");
    options($("curve-against"), AGAINST.filter((name) => found.every((each) => each.includes(name))), "iteration");
    $("curve-said").textContent = `${chosen.size} runs chosen`;
    drawCurves("curve-plot", histories, $("curve-column").value, $("curve-against").value, $("curve-log").checked,
      COLOURS);
  };
  const list = () => {
    const words = wordsOf($("curve-search"));
    const first = all.filter(({ name }) => chosen.has(name));
    const others = all.filter(({ name }) => !chosen.has(name) && has(name, words));
    const boxes = [...first, ...others].map(({ name }) => {
      const box = element("input", undefined, { type: "checkbox", checked: chosen.has(name), value: name });
      box.onchange = () => { box.checked ? chosen.add(name) : chosen.delete(name); redraw(); };
      const label = element("label");
      label.append(box, " ", name);
      return label;
    });
    $("curve-runs").replaceChildren(element("legend", "Runs"), ...boxes);
  };
  $("curve-search").oninput = list;
  for (const id of ["curve-column", "curve-against", "curve-log"]) $(id).onchange = redraw;
  all.filter(({ name }) => name.startsWith("fashion-dcec/sup-0.") && !name.includes("reconstruction"))
    .forEach(({ name }) => chosen.add(name));
  list();
  redraw();
  for (const place of window.recorded.here) { // a run whose own page is on this machine
    const cell = document.getElementById(place)?.querySelector(".place");
    cell?.replaceChildren(element("a", place, { href: `../runs/${place.split("/").map(encodeURIComponent).join("/")}/report/index.html` }));
  }
}
