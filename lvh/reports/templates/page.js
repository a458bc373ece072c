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
    font: { color: colour("--ink"), size: 12 },
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
  plot.drawn = true;
  const font = { color: colour("--ink"), size: 12 };
  for (const trace of plot.data.filter((one) => one.type === "parcoords"))
    Object.assign(trace, { labelfont: font, tickfont: font, rangefont: font });
  // no other buttons: one of them would send the figure to a server
  const buttons = [["toImage", "zoom2d", "resetScale2d"]];
  const config = { responsive: true, displaylogo: false, modeBarButtons: buttons };
  return Plotly.react(plot.place, plot.data, layoutOf(plot), config);
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

// Choosing a row shows or hides the curves of its trial, in every figure that has them.
const trials = new Set(plots.flatMap((plot) => plot.data.map((trace) => trace.meta ?? null)));
function show(trial, isShown) {
  for (const plot of plots) {
    const own = plot.data.filter((trace) => trace.meta === trial);
    own.forEach((trace) => (trace.visible = isShown));
    if (own.length && plot.drawn) draw(plot);
  }
}
const isShown = (trial) =>
  plots.some((plot) => plot.data.some((trace) => trace.meta === trial && trace.visible));

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
  }
  button.textContent = "copied";
}

function sort(body, heads, at) {
  const isDown = heads[at].ariaSort === "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[at].ariaSort = isDown ? "descending" : "ascending";
  const keyed = [...body.rows].map((row) => [row.cells[at].dataset.key, row]);
  keyed.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const order = isNumber(a) && isNumber(b) ? numberOf(a) - numberOf(b) : a.localeCompare(b);
    return isDown ? -order : order;
  });
  body.append(...keyed.map(([, row]) => row));
}

function fill(cell, name, text) {
  if (name === "command" && text) {
    const button = element("button", { type: "button", textContent: "copy", title: text });
    button.onclick = () => copy(button, text);
    cell.replaceChildren(button);
  } else if (name === "folder" && text) {
    const href = text.split("/").map(encodeURIComponent).join("/");
    cell.replaceChildren(element("a", { href: `${href}/`, textContent: "open" }));
  } else if (name === "trial" && trials.has(Number(text))) {
    const box = element("input", { type: "checkbox", checked: isShown(Number(text)) });
    box.ariaLabel = `show the curves of trial ${text}`;
    box.onchange = () => show(Number(text), box.checked);
    cell.append(" ", box);
  }
}

for (const holder of document.querySelectorAll(".data")) {
  const [body] = holder.querySelector("table").tBodies;
  const heads = [...holder.querySelectorAll("thead th")];
  const names = heads.map((head) => head.textContent);
  const words = [];
  for (const row of body.rows) {
    [...row.cells].forEach((cell, at) => {
      const text = cell.textContent.trim();
      cell.dataset.key = text;
      cell.className = isNumber(text) ? "number" : text.length > 60 ? "words" : "";
      if (holder.id === "leaderboard") fill(cell, names[at], text);
    });
    row.className = ["best", "worse"].includes(row.cells[names.indexOf("verdict")]?.dataset.key)
      ? row.cells[names.indexOf("verdict")].dataset.key
      : "";
    words.push([row, [...row.cells].map((cell) => cell.dataset.key).join(" ").toLowerCase()]);
  }
  heads.forEach((head, at) => {
    head.scope = "col";
    head.replaceChildren(element("button", { type: "button", textContent: names[at] }));
    head.firstChild.onclick = () => sort(body, heads, at);
  });
  if (words.length > 8) {
    const box = element("input", { type: "search", placeholder: "filter rows" });
    box.ariaLabel = `filter the rows of: ${holder.dataset.title}`;
    box.oninput = () => {
      const wanted = box.value.toLowerCase().split(/\s+/);
      for (const [row, text] of words) row.hidden = !wanted.every((word) => text.includes(word));
    };
    holder.prepend(box);
  }
}

// The list of sections.
const list = document.getElementById("sections");
document.querySelectorAll("h2[id]").forEach((head) => {
  element("a", { href: `#${head.id}`, textContent: head.textContent }, list);
});
