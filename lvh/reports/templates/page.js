"use strict";
// Figures: drawn when they come into view, in the colours of the page.
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plots = [...document.querySelectorAll("figure.plot")].map((figure) => ({
  place: figure.querySelector(".canvas"),
  ...JSON.parse(figure.querySelector("script").textContent),
}));

function layoutOf(plot) {
  const layout = {
    ...plot.layout,
    font: { color: colour("--ink"), size: plot.place.clientWidth < 500 ? 10 : 12 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 50, r: 20, t: 40, b: 50, ...plot.layout.margin },
    legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: colour("--ink") },
    hoverlabel: { align: "left" },
  };
  const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
  for (const key of new Set(["xaxis", "yaxis", ...axes])) {
    const line = { gridcolor: colour("--line"), linecolor: colour("--soft") };
    layout[key] = { automargin: true, zerolinecolor: line.gridcolor, ...line, ...layout[key] };
  }
  return layout;
}

function draw(plot) {
  if (!globalThis.Plotly) // run when it is needed, which takes longer than all the rest
    element("script", { textContent: document.getElementById("plotly").textContent }, document.body);
  plot.drawn = true;
  const font = { color: colour("--ink"), size: 12 };
  for (const trace of plot.data.filter((one) => one.type === "parcoords"))
    Object.assign(trace, { labelfont: font, tickfont: font, rangefont: font });
  // no other buttons: one of them would send the figure to a server
  const buttons = [["toImage", "zoom2d", "resetScale2d"]];
  const config = { responsive: true, displaylogo: false, modeBarButtons: buttons };
  Plotly.react(plot.place, plot.data, layoutOf(plot), config);
  if (plot.listens) return;
  plot.listens = true;
  plot.place.on("plotly_click", ({ points: [point] }) => choose(point.customdata));
  if (plot.data[0].type === "parcoords")
    plot.place.on("plotly_restyle", () => brush(plot.data[0]));
}

for (const plot of plots) plot.place.style.minHeight = `${plot.layout.height ?? 380}px`;
const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const plot = plots.find((one) => one.place === entry.target);
      if (entry.isIntersecting && !plot.drawn) draw(plot);
    }
  },
  { rootMargin: "400px" },
);
plots.forEach((plot) => watcher.observe(plot.place));
const redraw = () => plots.filter((plot) => plot.drawn).forEach(draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("beforeprint", () => {
  document.documentElement.classList.add("light");
  plots.forEach(draw);
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("light");
  redraw();
});

// The ticked rows of the leaderboard are the trials that figures draw, each in one colour.
const COLOURS = {{ colours | tojson }};
const traces = plots.flatMap((plot) => plot.data).filter((trace) => trace.meta !== undefined);
const chosen = new Map(); // trial: its colour
const boxes = new Map(); // trial: its box in the leaderboard
for (const { meta, visible } of traces) if (visible) tick(meta, true);

function tick(trial, isChosen) {
  if (!isChosen) chosen.delete(trial);
  else if (!chosen.has(trial)) {
    const used = [...chosen.values()];
    chosen.set(trial, COLOURS.find((one) => !used.includes(one)) ?? COLOURS[chosen.size % COLOURS.length]);
  }
}

function drawChosen() {
  for (const trace of traces) {
    trace.visible = chosen.has(trace.meta);
    for (const part of ["marker", "line", "error_x", "error_y"])
      trace[part] = { ...trace[part], color: chosen.get(trace.meta) };
  }
  for (const plot of plots.filter(({ data }) => data.some((one) => one.meta !== undefined))) {
    if (plot.layout.yaxis?.type === "category") {
      plot.layout.height = 160 + 28 * chosen.size;
      plot.place.style.minHeight = `${plot.layout.height}px`;
    }
    if (plot.drawn) draw(plot);
  }
  for (const [trial, box] of boxes) {
    box.checked = chosen.has(trial);
    box.style.accentColor = chosen.get(trial) ?? "";
  }
}

function choose(trial) {
  if (!boxes.has(trial)) return;
  tick(trial, !chosen.has(trial));
  drawChosen();
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
const numberOf = (text) => Number(text.replace(/^< /, ""));
const isNumber = (text) => text !== "" && !Number.isNaN(numberOf(text));

function element(name, properties, parent) {
  const made = Object.assign(document.createElement(name), properties);
  parent?.append(made);
  return made;
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = element("textarea", { value: text }, document.body);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  button.textContent = "copied";
  setTimeout(() => (button.textContent = "copy"), 2000);
}

const LINKS = { open: "", folds: "folds.csv", scores: "scores.csv", predictions: "predictions.csv" };
const CELLS = {
  folder(cell, text) {
    const folder = text.split("/").map(encodeURIComponent).join("/");
    const link = ([textContent, file]) => element("a", { href: `${folder}/${file}`, textContent });
    cell.replaceChildren(...Object.entries(LINKS).flatMap((one) => [link(one), " "]));
  },
  command(cell, text) {
    const button = element("button", { type: "button", textContent: "copy", title: text });
    button.onclick = () => copy(button, text);
    cell.replaceChildren(button);
  },
  mlflow(cell, text) {
    if (!/^https?:/.test(text)) CELLS.command(cell, text);
    else cell.replaceChildren(element("a", { href: text, textContent: "open" }));
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

// Of a long table the first rows are shown, then more: a row is made when it is shown.
const STEP = 100;
function prepare(holder) {
  const [body] = holder.querySelector("table").tBodies;
  const heads = [...holder.querySelectorAll("thead th")];
  const names = heads.map((head) => head.textContent);
  const held = [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
  const rest = JSON.parse(holder.querySelector("script")?.textContent ?? "[]");
  const rows = [...held, ...rest].map((cells) => {
    const texts = cells.map((text) => String(text ?? "").trim());
    return { texts, words: texts.join(" ").toLowerCase() };
  });
  const isBoard = holder.id === "leaderboard";
  const tools = element("div", { className: "tools" });
  const search = element("input", { type: "search", placeholder: "filter rows" }, tools);
  search.ariaLabel = `filter the rows of: ${holder.dataset.title}`;
  const more = element("button", { type: "button", textContent: "more rows" });
  const count = element("span", { className: "about", role: "status" });
  let limit = STEP;
  let shown = [];

  function make(one) {
    one.row = element("tr", {});
    one.texts.forEach((text, at) => {
      const cell = element("td", { textContent: text }, one.row);
      const fill = isBoard && text && CELLS[names[at]];
      cell.className = isNumber(text) ? "number" : !fill && text.length > 60 ? "words" : "";
      if (fill) fill(cell, text);
    });
    const verdict = one.texts[names.indexOf("verdict")];
    if (["best", "worse"].includes(verdict)) one.row.className = verdict;
  }

  function update() {
    const wanted = search.value.toLowerCase().split(/\s+/);
    const trial = names.indexOf("trial");
    shown = rows.filter(
      ({ texts, words }) =>
        wanted.every((word) => words.includes(word)) &&
        (!isBoard || !brushed || brushed.has(Number(texts[trial]))),
    );
    const seen = shown.slice(0, limit);
    for (const one of seen) if (!one.row) make(one);
    body.replaceChildren(...seen.map(({ row }) => row));
    count.textContent = `${Math.min(limit, shown.length)} of ${rows.length} rows`;
    more.hidden = shown.length <= limit;
  }

  function sort(at) {
    const isDown = heads[at].ariaSort === "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[at].ariaSort = isDown ? "descending" : "ascending";
    rows.sort(({ texts: { [at]: a } }, { texts: { [at]: b } }) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = isNumber(a) && isNumber(b) ? numberOf(a) - numberOf(b) : a.localeCompare(b);
      return isDown ? -order : order;
    });
    update();
  }

  heads.forEach((head, at) => {
    head.scope = "col";
    head.replaceChildren(element("button", { type: "button", textContent: names[at] }));
    head.firstChild.onclick = () => sort(at);
  });
  body.onkeydown = (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const cell = event.target.closest("td");
    const other = step && cell.parentElement[step]?.cells[cell.cellIndex];
    const next = other?.querySelector("input, button, a");
    if (!next) return;
    event.preventDefault();
    next.focus();
  };
  search.oninput = update;
  more.onclick = () => {
    limit += STEP;
    update();
  };
  if (isBoard) {
    updateBoard = update;
    for (const [textContent, n] of [["draw the first 5 rows", 5], ["draw none", 0]]) {
      const button = element("button", { type: "button", textContent }, tools);
      button.onclick = () => {
        chosen.clear();
        const trials = shown.map(({ texts }) => Number(texts[names.indexOf("trial")]));
        for (const trial of trials.filter((one) => boxes.has(one)).slice(0, n)) tick(trial, true);
        drawChosen();
      };
    }
  }
  tools.append(count);
  if (rows.length > 8) holder.prepend(tools);
  update();
  holder.append(more);
  holder.classList.add("ready");
}

document.querySelectorAll(".data").forEach(prepare);
document.querySelectorAll("[data-copy]").forEach((button) => {
  button.onclick = () => copy(button, button.dataset.copy);
});
drawChosen();

// The list of sections.
const list = document.getElementById("sections");
document.querySelectorAll("h2[id]").forEach((head) => {
  element("a", { href: `#${head.id}`, textContent: head.textContent }, list);
});
