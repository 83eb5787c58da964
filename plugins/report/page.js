"use strict";
// Moves the threshold of a histogram, and says what another value would drop.
for (const input of document.querySelectorAll("input[data-drops]")) {
  const figure = input.closest("figure");
  const line = figure.querySelector(".threshold");
  const kept = figure.querySelector(".kept-side");
  const output = figure.querySelector("output");
  const { drops, positions, values, rows, above } = Object.fromEntries(
    Object.entries(input.dataset).map(([name, value]) => [name, JSON.parse(value)]),
  );
  const own = Number(input.value);
  const plural = (count) => `${count.toLocaleString("en")} ${count === 1 ? "row" : "rows"}`;
  const show = () => {
    const at = Number(input.value);
    const x = positions[at];
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    kept.setAttribute("x", above ? 0 : x);
    kept.setAttribute("width", above ? x : 320 - x);
    const more = drops[at] - drops[own];
    const change = more === 0 ? "" : `, ${plural(Math.abs(more))} ${more > 0 ? "more" : "fewer"} than now`;
    const share = rows ? ((100 * drops[at]) / rows).toFixed(1) : "0.0";
    output.textContent = `${values[at]}: drops ${plural(drops[at])} (${share}%)${change}`;
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", show);
  input.closest(".slider").hidden = false;
  show();
}
