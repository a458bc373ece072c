"use strict";
// Figures, in the colours of the page.
const [INK, SOFT, LINE] = ["#1c2430", "#566170", "#dde2e8"];
const plots = [...document.querySelectorAll("figure.plot")].map((figure) => ({
  place: figure.querySelector(".canvas"),
  ...JSON.parse(figure.querySelector("script").textContent),
}));

function layoutOf(plot) {
  const layout = {
    ...plot.layout,
    font: { color: INK, size: plot.place.clientWidth < 500 ? 10 : 12 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 50, r: 20, t: 40, b: 50, ...plot.layout.margin },
    legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: SOFT, activecolor: INK },
    hoverlabel: { align: "left" },
  };
  const look = { automargin: true, gridcolor: LINE, zerolinecolor: LINE, linecolor: SOFT };
  const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
  for (const key of new Set(["xaxis", "yaxis", ...axes])) layout[key] = { ...look, ...layout[key] };
  return layout;
}

function draw(plot) {
  plot.place.style.minHeight = `${plot.layout.height ?? 380}px`;
  // no other buttons: one of them would send the figure to a server
  const buttons = [["toImage", "zoom2d", "resetScale2d"]];
  const config = { responsive: true, displaylogo: false, modeBarButtons: buttons };
  Plotly.react(plot.place, plot.data, layoutOf(plot), config);
}

// The ticked rows of the leaderboard are the trials that figures draw, each in one colour.
const COLOURS = "#3b7dbd #d07a2c #3a9a6b #b65fa8 #9a8a2a #5d6bd6 #c4504f #2d9aa8".split(" ");
const traces = plots.flatMap((plot) => plot.data).filter((trace) => trace.meta !== undefined);
const chosen = new Map(); // trial: its colour
const boxes = new Map(); // trial: its box in the leaderboard
for (const { meta, visible } of traces) if (visible) tick(meta);

function tick(trial) {
  if (chosen.has(trial)) return;
  const used = [...chosen.values()];
  chosen.set(trial, COLOURS.find((one) => !used.includes(one)) ?? COLOURS[chosen.size % 8]);
}

function choose(trial) {
  if (!boxes.has(trial)) return;
  if (!chosen.delete(trial)) tick(trial);
  drawChosen();
}

function drawChosen() {
  for (const trace of traces) {
    trace.visible = chosen.has(trace.meta);
    for (const part of ["marker", "line", "error_x", "error_y"])
      trace[part] = { ...trace[part], color: chosen.get(trace.meta) };
  }
  for (const { layout } of plots)
    if (layout.yaxis?.type === "category") layout.height = 160 + 28 * chosen.size;
  plots.forEach(draw);
  for (const [trial, box] of boxes) {
    box.checked = chosen.has(trial);
    box.style.accentColor = chosen.get(trial) ?? "";
  }
}

// Parallel coordinates: the rows whose lines go through the ranges that are chosen on the axes.
let brushed = null;
let updateBoard = () => {};
function brush({ dimensions, customdata }) {
  const limited = dimensions.filter((one) => one.constraintrange);
  const goes = (one, at) =>
    [one.constraintrange].flat(one.constraintrange[0].length ? 1 : 0).some(
      ([low, high]) => low <= one.values[at] && one.values[at] <= high,
    );
  const inside = customdata.filter((_, at) => limited.every((one) => goes(one, at)));
  brushed = limited.length ? new Set(inside) : null;
  updateBoard();
}

// Tables: they sort by a click on a head, and show the rows that have the words typed above.
const isNumber = (text) => text !== "" && !Number.isNaN(Number(text));

function element(name, properties, parent) {
  const made = Object.assign(document.createElement(name), properties);
  parent?.append(made);
  return made;
}

function copyButton(text) {
  const button = element("button", { type: "button", textContent: "copy", title: text });
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      prompt("Copy this:", text);
    }
  };
  return button;
}

const LINKS = { open: "", folds: "folds.csv", scores: "scores.csv", predictions: "predictions.csv" };
const CELLS = {
  folder(cell, text) {
    const folder = text.split("/").map(encodeURIComponent).join("/");
    const link = ([textContent, file]) => element("a", { href: `${folder}/${file}`, textContent });
    cell.replaceChildren(...Object.entries(LINKS).flatMap((one) => [link(one), " "]));
  },
  command: (cell, text) => cell.replaceChildren(copyButton(text)),
  mlflow(cell, text) {
    const isAddress = /^https?:/.test(text);
    const link = isAddress && element("a", { href: text, textContent: "open" });
    cell.replaceChildren(link || copyButton(text));
  },
  trial(cell, text) {
    const trial = Number(text);
    if (!traces.some((one) => one.meta === trial)) return;
    const box = element("input", { type: "checkbox", ariaLabel: `draw trial ${text}` });
    box.onchange = () => choose(trial);
    boxes.set(trial, box);
    cell.append(" ", box);
  },
};

function prepare(holder) {
  const [body] = holder.querySelector("table").tBodies;
  const heads = [...holder.querySelectorAll("thead th")];
  const names = heads.map((head) => head.textContent);
  const isBoard = holder.id === "leaderboard";
  const trialOf = ({ texts }) => Number(texts[names.indexOf("trial")]);
  const rows = [...body.rows].map((row) => {
    const texts = [...row.cells].map((cell) => cell.textContent.trim());
    texts.forEach((text, at) => {
      const fill = isBoard && text && CELLS[names[at]];
      row.cells[at].className = isNumber(text) ? "number" : !fill && text.length > 60 ? "words" : "";
      if (fill) fill(row.cells[at], text);
    });
    const verdict = texts[names.indexOf("verdict")];
    if (["best", "worse"].includes(verdict)) row.className = verdict;
    return { row, texts, words: texts.join(" ").toLowerCase() };
  });
  const tools = element("div", { className: "tools" });
  const search = element("input", { type: "search", placeholder: "filter rows" }, tools);
  search.ariaLabel = `filter the rows of: ${holder.dataset.title}`;
  let shown = rows;

  function update() {
    const wanted = search.value.toLowerCase().split(/\s+/);
    shown = rows.filter(
      (one) =>
        wanted.every((word) => one.words.includes(word)) &&
        (!isBoard || !brushed || brushed.has(trialOf(one))),
    );
    body.replaceChildren(...shown.map(({ row }) => row));
  }

  function sort(at) {
    const isDown = heads[at].ariaSort === "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[at].ariaSort = isDown ? "descending" : "ascending";
    rows.sort(({ texts: { [at]: a } }, { texts: { [at]: b } }) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = isNumber(a) && isNumber(b) ? a - b : a.localeCompare(b);
      return isDown ? -order : order;
    });
    update();
  }

  heads.forEach((head, at) => {
    head.scope = "col";
    const button = element("button", { type: "button", textContent: names[at] });
    button.onclick = () => sort(at);
    head.replaceChildren(button);
  });
  search.oninput = update;
  if (isBoard) {
    updateBoard = update;
    for (const [textContent, n] of [["draw the first 5 rows", 5], ["draw none", 0]]) {
      element("button", { type: "button", textContent }, tools).onclick = () => {
        chosen.clear();
        shown.map(trialOf).filter((one) => boxes.has(one)).slice(0, n).forEach(tick);
        drawChosen();
      };
    }
  }
  if (rows.length > 8) holder.prepend(tools);
}

document.querySelectorAll(".data").forEach(prepare);
document.querySelectorAll("[data-copy]").forEach((place) => {
  place.replaceWith(copyButton(place.dataset.copy));
});
drawChosen();
for (const { place, data } of plots) {
  place.on("plotly_click", ({ points: [point] }) => choose(point.customdata));
  if (data[0].type === "parcoords") place.on("plotly_restyle", () => brush(data[0]));
}

// The list of sections.
document.querySelectorAll("h2[id]").forEach((head) => {
  const link = { href: `#${head.id}`, textContent: head.textContent };
  element("a", link, document.getElementById("sections"));
});
