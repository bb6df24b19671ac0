"use strict";

// Charts: Vega-Lite beside each other in one JSON text, in the order of their places in the page.
const charts = JSON.parse(document.getElementById("charts").textContent);
const options = {
  renderer: "svg",
  ast: true, // expressions are interpreted: the page's policy allows no eval
  actions: { export: true, source: false, compiled: false, editor: false },
};
const drawn = Object.entries(charts).map(([name, chart]) =>
  window.vegaEmbed(document.getElementById(name), chart, options),
);
Promise.all(drawn)
  .then(() => { document.documentElement.dataset.charts = "drawn"; })
  .catch(console.error);

// Tables are sorted by a button in each heading: numbers from the highest, texts from the first, then the other way.
function valueOf(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value ?? cell.textContent.trim();
}

function sort(heading) {
  const table = heading.closest("table");
  const body = table.tBodies[0];
  const column = heading.cellIndex;
  const isNumeric = heading.classList.contains("number");
  const before = heading.getAttribute("aria-sort");
  const first = isNumeric ? "descending" : "ascending";
  const second = isNumeric ? "ascending" : "descending";
  const order = before === first ? second : first;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const compare = (left, right) => {
    const [a, b] = [valueOf(left, column), valueOf(right, column)];
    if (a === "" || b === "") return (a === "") - (b === ""); // what has no value comes last, either way
    const isText = Number.isNaN(Number(a)) || Number.isNaN(Number(b));
    return sign * (isText ? a.localeCompare(b) : Number(a) - Number(b));
  };
  body.append(...[...body.rows].sort(compare));
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sort(button.closest("th")));
}

// A cell of the table of scores leads to its trials: all of them stand out.
function show() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (const row of document.querySelectorAll("tr.is-shown")) row.classList.remove("is-shown");
  if (target === null) return;
  for (let part = target.closest("details"); part !== null; part = part.parentElement.closest("details")) part.open = true;
  if (target.dataset.place === undefined) return;
  for (const row of document.querySelectorAll(`tr[data-place="${target.dataset.place}"]`)) row.classList.add("is-shown");
  target.scrollIntoView({ block: "center" });
}

window.addEventListener("hashchange", show);
show();

// What is folded is printed, but for lists that are too long for paper.
const folded = () => document.querySelectorAll("details.printed:not([open])");
let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [...folded()];
  for (const part of opened) part.open = true;
});
window.addEventListener("afterprint", () => {
  for (const part of opened) part.open = false;
});
