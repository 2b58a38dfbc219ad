"use strict";
(function () {
  const minus = (text) => text.replace(/-/g, "\u2212");

  // ---- tables sort by a click, or Enter, on a heading
  function sort(heading) {
    const body = heading.closest("table").tBodies[0];
    const column = heading.cellIndex;
    const falling = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const key = (row) => {
      const cell = row.cells[column];
      return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
    };
    const rows = Array.from(body.rows);
    const numeric = rows.some((row) => key(row) !== null);
    rows.sort((first, second) => {
      if (!numeric) {
        const order = first.cells[column].textContent.localeCompare(second.cells[column].textContent);
        return falling ? -order : order;
      }
      const a = key(first), b = key(second);
      if (a === null || b === null) return (a === null) - (b === null); // what is missing stands last
      return falling ? b - a : a - b;
    });
    body.append(...rows);
  }
  for (const heading of document.querySelectorAll("table.sorts th")) {
    heading.addEventListener("click", () => sort(heading));
    heading.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(heading); }
    });
  }

  // ---- light and dark
  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // ---- the explorer looks numbers up; it computes none
  const holder = document.getElementById("explorer-data");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const panel = document.getElementById("explorer-panel");

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }
  function shape(tag, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function written(value, digits) {
    if (value === null || value === undefined) return "\u2013";
    const size = Math.abs(value);
    if (size >= 1000) return minus(value.toLocaleString("en-US", { maximumFractionDigits: 0 }));
    return minus(size !== 0 && size < 1e-4 ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits))));
  }
  // a rounded zero has no sign
  const fixed = (value, decimals) => value.toFixed(decimals).replace(/^-(?=0(\.0*)?$)/, "");
  // a score, with as many digits as in the tables
  function writeScore(value) {
    const distance = Math.min(Math.abs(value), Math.abs(1 - value));
    return fixed(value, distance > 0 ? Math.min(8, Math.max(4, 1 - Math.floor(Math.log10(distance)))) : 4);
  }
  const percent = (value) => (value === null ? "\u2013" : minus(fixed(100 * value, 2)) + "%");

  const choice = element("select", { id: "explorer-score", "aria-label": "score" });
  data.tables.forEach((table, number) => {
    choice.append(element("option", { value: number }, "score of " + table.score_of.join(" + ")));
  });
  const slider = element("input", { type: "range", id: "explorer-cut", min: 0, step: 1, "aria-label": "threshold" });
  const typed = element("input", { type: "number", id: "explorer-threshold", min: 0, max: 1, step: "any", "aria-label": "threshold" });
  const marks = element("span", {});
  const tiles = element("dl", { class: "tiles" });
  const plots = element("div", { class: "plots" });
  const body = element("tbody", {});
  panel.append(
    element("div", { class: "controls" }, choice, element("label", {}, "score at least ", typed), marks),
    slider, tiles, plots,
    element("div", { class: "wide" }, element("table", {},
      element("thead", {}, element("tr", {},
        element("th", {}, "class"), element("th", { class: "number" }, "efficiency"), element("th", { class: "number" }, data.yields))),
      body)));

  // without simulated background there are limits instead of numbers
  const empty = (t, i) => t.background_error[i] === 0;
  // two digits, rounded so that the limit remains true
  function limit(relation, value, write) {
    if (value === null) return "\u2013 (no event passes)";
    const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
    const round = relation === "<" ? Math.ceil : Math.floor;
    return `${relation} ${write(round(value / unit) * unit)} (95% CL)`;
  }
  const reason = (value, text, why) => value === null ? `\u2013 (${why})` : text;
  const quantities = [
    ["signal efficiency", (t, i) => percent(t.signal_efficiency[i]), "signal_efficiency"],
    ["background rejection", (t, i) => empty(t, i) ? limit(">", t.rejection_limit, (value) => written(value, 2))
      : reason(t.rejection[i], written(t.rejection[i], 3), "negative background"), "rejection"],
    ["purity", (t, i) => empty(t, i) ? limit(">", t.purity_limit[i], percent)
      : reason(t.purity[i], percent(t.purity[i]), "no positive sum of events"), "purity"],
    ["signal events", (t, i) => written(t.signal[i], 4), "signal"],
    ["background events", (t, i) => empty(t, i) ? limit("<", t.background_limit, (value) => written(value, 2))
      : written(t.background[i], 4) + " \u00b1 " + written(t.background_error[i], 2), "background"],
    ["significance", (t, i) => reason(t.significance[i], written(t.significance[i], 3), "too little simulated background"), "significance"],
  ];
  const outputs = quantities.map(([title, , name]) => {
    const value = element("b", { id: "explorer-" + name });
    tiles.append(element("div", {}, element("dt", {}, title), element("dd", {}, value)));
    return value;
  });

  const W = 380, H = 222, L = 46, R = 12, T = 22, B = 46;
  const across = (threshold) => L + threshold * (W - L - R);
  function plot(title, curves, highest) {
    const up = (value) => H - B - (value / highest) * (H - T - B);
    const svg = shape("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title });
    svg.append(shape("text", { x: L, y: 13 }, title));
    svg.append(shape("path", { class: "axis", d: `M${L} ${T}V${H - B}H${W - R}` }));
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      svg.append(shape("path", { class: "axis", d: `M${across(tick)} ${H - B}v4` }));
      svg.append(shape("text", { x: across(tick), y: H - B + 17, "text-anchor": "middle" }, String(tick)));
    }
    svg.append(shape("text", { x: W - R, y: H - 8, "text-anchor": "end" }, `threshold of the ${choice.selectedOptions[0].textContent}`));
    const power = 10 ** Math.floor(Math.log10(highest / 2));
    const step = power * [1, 2, 5, 10].find((each) => highest / (each * power) <= 5);
    for (let number = 0; number * step <= highest * 1.0001; number++) {
      const value = number * step;
      svg.append(shape("path", { class: "axis", d: `M${L} ${up(value)}h-4` }));
      svg.append(shape("text", { x: L - 7, y: up(value) + 4, "text-anchor": "end" }, written(value, 3)));
    }
    for (const [thresholds, values, colour] of curves) {
      let path = "";
      values.forEach((value, i) => {
        if (value === null) return;
        const place = `${across(thresholds[i]).toFixed(1)} ${up(value).toFixed(1)}`;
        path += (path === "" || values[i - 1] === null ? "M" : "L") + place;
      });
      svg.append(shape("path", { d: path, fill: "none", stroke: colour, "stroke-width": 1.8 }));
    }
    const here = shape("line", { class: "here", y1: T, y2: H - B });
    svg.append(here);
    plots.append(svg);
    return here;
  }

  let table, lines;
  function choose() {
    table = data.tables[Number(choice.value)];
    slider.max = table.thresholds.length - 1;
    plots.replaceChildren();
    const curves = data.classes.map((name, c) => [table.thresholds, table.efficiency[name], data.colours[c]]);
    const largest = Math.max(1, ...curves.flatMap(([, values]) => values));
    lines = [plot("efficiency of each class", curves, largest)];
    const known = table.significance.filter((value) => value !== null);
    if (known.length) lines.push(plot("significance", [[table.thresholds, table.significance, "var(--ink)"]], 1.05 * Math.max(...known)));
    marks.replaceChildren();
    for (const mark of data.marks[Number(choice.value)]) {
      const set = element("button", { type: "button" }, mark.text);
      set.addEventListener("click", () => seek(mark.threshold));
      marks.append(set, " ");
    }
  }
  function seek(threshold) {
    let best = 0;
    table.thresholds.forEach((each, i) => {
      if (Math.abs(each - threshold) < Math.abs(table.thresholds[best] - threshold)) best = i;
    });
    slider.value = best;
    show();
  }
  function show() {
    const i = Number(slider.value);
    typed.value = writeScore(table.thresholds[i]);
    quantities.forEach(([, text, name], q) => {
      outputs[q].textContent = text(table, i);
      outputs[q].dataset.value = table[name][i] === null ? "" : String(table[name][i]);
    });
    for (const line of lines) {
      line.setAttribute("x1", across(table.thresholds[i]));
      line.setAttribute("x2", across(table.thresholds[i]));
    }
    body.replaceChildren(...data.classes.map((name, c) => {
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = data.colours[c];
      return element("tr", {}, element("td", {}, swatch, name),
        element("td", { class: "number" }, percent(table.efficiency[name][i])),
        element("td", { class: "number" }, written(table.yields[name][i], 4)));
    }));
  }
  choice.addEventListener("change", () => { const at = table.thresholds[Number(slider.value)]; choose(); seek(at); });
  slider.addEventListener("input", show);
  typed.addEventListener("change", () => seek(Number(typed.value)));
  choose();
  const marked = data.marks[0];
  seek(marked.length ? marked[marked.length - 1].threshold : 0.5);
})();
