"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const boxes = all("#methods input");

// What was chosen outlives a reload, where the browser lets a page remember; it works without.
const memory = {
  get(key) { try { return sessionStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { sessionStorage.setItem(key, value); } catch { /* not this browser */ } },
};

function say(text) {
  const line = document.getElementById("said");
  line.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { line.textContent = ""; }, 2500);
}

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

// Theme: as the system, or as chosen.
const system = matchMedia("(prefers-color-scheme: dark)");
const THEMES = { system: "system", light: "light", dark: "dark" };
let theme = memory.get("theme") ?? "system";
function setTheme(choice) {
  theme = choice;
  document.documentElement.dataset.theme = choice === "system" ? (system.matches ? "dark" : "light") : choice;
  document.getElementById("theme").textContent = `Theme: ${THEMES[choice]}`;
  memory.set("theme", choice);
}
document.getElementById("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  setTheme(names[(names.indexOf(theme) + 1) % names.length]);
});
system.addEventListener("change", () => setTheme(theme));
setTheme(theme);

// Sorting: a click shows what is best first, the second what is worst, the third the first order.
// What everything is measured against stays on top.
const VERDICTS = ["equivalent", "no difference found", "inconclusive", "different"]; // best first
const written = (cell) => cell.textContent.replaceAll(",", "").match(/[+-]?\d+(\.\d+)?/)?.[0];
function ideal(table, place, order) {
  if (!order.startsWith("near ")) return null;
  const goal = order.slice(5), row = table.querySelector('tr[data-method="retrain"]');
  return goal === "retrain" ? Number(row ? written(row.cells[place]) : 0) : Number(goal);
}
function badness(cell, order, goal) {
  const text = cell.textContent.trim(), number = written(cell);
  const place = VERDICTS.findIndex((word) => text.startsWith(word));
  if (place >= 0) return place;
  if (order === "text" || number === undefined) return text;
  return goal === null ? (order === "high" ? -1 : 1) * Number(number) : Math.abs(Number(number) - goal);
}
const absent = (value) => value === "–" || value === "";
function compare(a, b, down) {
  if (absent(a) || absent(b)) return absent(a) - absent(b); // last, whichever way
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return down ? -order : order;
}
function sort(table, place, down) {
  const head = table.tHead.rows[0].cells[place], { order } = head.dataset, goal = ideal(table, place, order);
  all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.querySelector("tbody.sortable");
  const rows = [...body.rows].map((row) => [badness(row.cells[place], order, goal), row]);
  rows.sort(([a], [b]) => compare(a, b, down));
  body.append(...rows.map(([, row]) => row));
}
for (const body of all("tbody.sortable")) [...body.rows].forEach((row, place) => { row.dataset.place = place; });
function unsort(table) {
  all("th[aria-sort]", table).forEach((head) => head.removeAttribute("aria-sort"));
  const body = table.querySelector("tbody.sortable");
  body.append(...[...body.rows].sort((a, b) => a.dataset.place - b.dataset.place));
}
for (const button of all(".sort")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), table = button.closest("table"), now = head.getAttribute("aria-sort");
    if (now === "descending") unsort(table);
    else sort(table, head.cellIndex, now === "ascending");
    keep();
  });
}

// What is best of the methods shown: as `Contest.marks` in the program has it.
const LEVEL = 0.05;
function holm(p) {
  const order = p.map((value, place) => [value, place]).sort(([a], [b]) => a - b), adjusted = [];
  let least = 0;
  order.forEach(([value, place], step) => {
    least = Math.max(least, value * (p.length - step));
    adjusted[place] = Math.min(least, 1);
  });
  return adjusted;
}
function pair({ labels, p }, a, b) {
  const [i, j] = [labels.indexOf(a), labels.indexOf(b)].sort((one, other) => one - other);
  return p[i * labels.length - (i * (i + 1)) / 2 + j - i - 1];
}
const ranked = (contest, chosen) => {
  const far = Object.fromEntries(contest.labels.map((label, place) => [label, contest.far[place]]));
  const order = contest.labels.filter((label) => chosen.has(label)).sort((a, b) => far[a] - far[b]);
  return [far, order];
};
function apart(contest, order) { // the pairs that surely differ, the better one first
  const pairs = order.flatMap((a, i) => order.slice(i + 1).map((b) => [a, b, pair(contest, a, b)])).filter(([, , p]) => p !== null);
  const adjusted = holm(pairs.map(([, , p]) => p));
  return pairs.filter((one, place) => adjusted[place] < LEVEL);
}
function places(contest, chosen) {
  const [, order] = ranked(contest, chosen), sure = apart(contest, order);
  const worse = (label) => sure.filter(([, far]) => far === label).length, better = (label) => sure.filter(([near]) => near === label).length;
  return new Map(order.map((label) => [label, [1 + worse(label), order.length - better(label)]]));
}
function marks(contest, chosen) {
  const [far, order] = ranked(contest, chosen), open = order.filter((label) => !contest.different.includes(label));
  const [first] = open, others = order.filter((label) => label !== first);
  if (first === undefined) return new Map();
  let sure;
  if (contest.ranked) {
    sure = apart(contest, order).filter((two) => two.includes(first)).map(([a, b]) => (a === first ? b : a));
  } else {
    const adjusted = holm(others.map((other) => pair(contest, first, other)));
    sure = others.filter((other, place) => adjusted[place] < LEVEL);
  }
  const worse = sure.filter((label) => far[label] > far[first]);
  if (!worse.length) return new Map();
  const found = new Map(open.filter((label) => !worse.includes(label)).map((label) => [label, far[label] === far[first] ? "best" : "tied"]));
  for (const [label, other] of Object.entries(contest.same)) if (found.has(other)) found.set(label, found.get(other));
  return found;
}
function emphasise(chosen) {
  for (const head of all("th[data-contest]")) {
    const found = marks(data.contests[head.dataset.contest], chosen);
    for (const row of all("tr[data-row]", head.closest("table"))) {
      const cell = row.cells[head.cellIndex], mark = found.get(row.dataset.method);
      for (const name of ["best", "tied"]) cell.classList.toggle(name, mark === name);
    }
  }
  for (const head of all("th[data-ranks]")) {
    const found = places(data.contests[head.dataset.ranks], chosen);
    for (const row of all("tr[data-row]", head.closest("table"))) {
      const place = found.get(row.dataset.method);
      if (place) row.cells[head.cellIndex].textContent = place[0] === place[1] ? place[0] : place.join("–");
    }
  }
}

// Which methods are shown: in tables, figures and what is copied. The address keeps it, and how
// tables are sorted, so that a view can be handed on.
const shown = () => new Set(boxes.filter((box) => box.checked).map((box) => box.value));
function show() {
  const chosen = shown();
  const known = new Set(boxes.map((box) => box.value));
  for (const part of all("[data-method]")) part.toggleAttribute("hidden", known.has(part.dataset.method) && !chosen.has(part.dataset.method));
  const cited = document.getElementById("bibtex");
  if (cited) cited.textContent = bibtex();
  const counted = document.getElementById("counted");
  counted.textContent = chosen.size === known.size ? `all ${known.size}` : `${chosen.size} of ${known.size}`;
  emphasise(chosen);
  keep();
}
function keep() {
  const view = new URLSearchParams();
  const hidden = boxes.filter((box) => !box.checked).map((box) => box.value);
  if (hidden.length) view.set("hide", hidden.join(","));
  for (const head of all("th[aria-sort]")) {
    view.append("sort", [head.closest("[data-table]").dataset.table, head.cellIndex, head.getAttribute("aria-sort")].join(" "));
  }
  const text = view.toString();
  history.replaceState(null, "", `${location.pathname}${text && `?${text}`}${location.hash}`);
}
const view = new URLSearchParams(location.search);
const hidden = new Set((view.get("hide") ?? "").split(","));
for (const box of boxes) {
  box.checked = !hidden.has(box.value);
  box.addEventListener("change", show);
}
for (const button of all(".choose")) {
  button.addEventListener("click", () => {
    const { choice } = button.dataset;
    const wanted = { none: data.references, main: data.main }[choice];
    for (const box of boxes) box.checked = choice === "all" || (wanted ?? []).includes(box.value);
    show();
  });
}
for (const one of view.getAll("sort")) {
  const [name, place, way] = one.split(" "), table = document.querySelector(`[data-table="${CSS.escape(name)}"] table`);
  if (table?.tHead.rows[0].cells[place]) sort(table, Number(place), way === "descending");
}

// Copying.
function bibtex() {
  const chosen = shown();
  const rows = Object.entries(data.cite.rows).filter(([label]) => chosen.has(label)).map(([, entry]) => entry);
  return [...new Set([...data.cite.always, ...rows])].join("\n\n");
}
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
}
// As in `tables/`: no spreadsheet takes text for a formula.
const NUMBER = /^[+-]\d[\d.,]*(e[+-]\d+)?( ±[\d.?]+| \[[\d.,+ -]+\]| [=≠?])*$/;
function csv(row) {
  return [...row.cells].map(({ textContent: text }) => {
    const safe = /^[=+\-@\t\r]/.test(text) && !NUMBER.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }).join(",");
}
function latex({ top, parts, bottom, rows, blocks, same }, every) {
  const twins = ({ dataset: { row } }) => every.filter((one) => same[one.dataset.row] === Number(row));
  const visible = every.filter(({ dataset: { row } }) => !every.some((one) => Number(one.dataset.row) === same[row]));
  const emphasised = (row, place) => {
    const { classList } = row.cells[place], name = ["best", "tied"].find((one) => classList.contains(one));
    const form = { best: (text) => `\\textbf{${text}}`, tied: (text) => `\\underline{\\smash{${text}}}` }[name];
    const text = row.closest("table").tHead.rows[0].cells[place].dataset.ranks ? [row.cells[place].textContent.replace("–", "--")] : rows[row.dataset.row][place];
    if (!place) return [[row, ...twins(row)].map((one) => rows[one.dataset.row][0][0]).join(" = ")];
    return text.map((text) => (form && text ? form(text) : text));
  };
  const body = ({ columns, head, foot }) => {
    const lines = visible.flatMap((row, at) => {
      const rule = at > 0 && blocks[row.dataset.row] > Math.max(...visible.slice(0, at).map((one) => blocks[one.dataset.row])) ? ["\\midrule"] : [];
      return [...rule, `${columns.flatMap((place) => emphasised(row, place)).join(" & ")} \\\\`];
    });
    return [...head, ...lines, ...foot];
  };
  return [...top, ...parts.flatMap(body), ...bottom];
}
for (const button of all(".copy")) {
  button.addEventListener("click", () => {
    const figure = button.closest("[data-table]"), { form } = button.dataset;
    const visible = all("tr[data-row]", figure).filter((row) => !row.hidden);
    const lines = form === "csv" ? [figure.querySelector("thead tr"), ...visible].map(csv) : latex(data.tables[figure.dataset.table], visible);
    copy([...lines, ""].join("\n"), form === "csv" ? "CSV" : "LaTeX");
  });
}
document.getElementById("copy-bibtex")?.addEventListener("click", () => copy(bibtex(), "BibTeX"));

// The runs behind a cell.
const COLUMNS = [["original_seed", "original"], ["forget_seed", "forget set"], ["run_seed", "run seed"]];
const number = (value, name) => (typeof value === "number" && !name.endsWith("seed") ? value.toFixed(name.includes("confidence") ? 3 : 2) : (value ?? "–"));
const title = (name) => data.titles?.[name] ?? (name.endsWith("_gap") && data.titles?.[name.slice(0, -4)] ? `${data.titles[name.slice(0, -4)]}, gap` : name.replaceAll("_", " "));
function table(head, rows) {
  const row = (kind, cells) => element("tr", null, ...cells.map((cell) => element(kind, String(cell))));
  const box = element("div", null, element("table", null, element("thead", null, row("th", head)), element("tbody", null, ...rows.map((cells) => row("td", cells)))));
  box.className = "scroll";
  box.tabIndex = 0;
  return box;
}
function openRuns(button) {
  const heading = button.closest("table").tHead.rows[0].cells[button.closest("th, td").cellIndex];
  const method = button.closest("tr").dataset.method, { key } = heading.dataset;
  const runs = data.runs[button.closest("section").dataset.group];
  const own = runs.label.flatMap((label, place) => (label === method ? [place] : []));
  const head = heading.textContent.trim();
  const extra = key ? [key] : ["forget_accuracy", "retain_accuracy", "test_accuracy", "ft_auc", "avg_gap"].filter((name) => name in runs);
  if (key && `${key}_gap` in runs) extra.push(`${key}_gap`);
  const columns = [...COLUMNS, ...extra.map((name) => [name, title(name)]), ["seconds", "seconds"], ["run", "record"], ["source", "source of the method"]];
  const unique = columns.filter(([name], place) => columns.findIndex(([other]) => other === name) === place);
  const rows = own.map((place) => unique.map(([name]) => number(runs[name][place], name)));
  const settings = Object.entries(data.settings[method] ?? {}).map(([name, value]) => `${name} = ${value}`).join(", ");
  const failed = data.failures.filter((one) => one.label === method);
  document.getElementById("runs-title").textContent = key ? `${method}: ${head}` : method;
  document.getElementById("runs-body").replaceChildren(
    element("p", `Hyperparameters: ${settings || "none"}.`),
    table(unique.map(([, title]) => title), rows),
    ...failed.map((one) => element("p", `Failed: ${one.run}: ${one.error}`)),
  );
  document.getElementById("runs").showModal();
}
for (const button of all(".open")) {
  button.addEventListener("click", () => openRuns(button));
  if (button.closest("td")) button.tabIndex = -1; // arrow keys lead there
}
const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
document.addEventListener("keydown", (event) => {
  const from = event.target.closest?.(".open");
  if (!from || !(event.key in MOVES)) return;
  const [down, right] = MOVES[event.key];
  const cell = from.closest("th, td"), rows = all("tbody tr", from.closest("table")).filter((row) => !row.hidden);
  let place = cell.cellIndex, line = rows.indexOf(cell.parentElement), next = null;
  while (!next && rows[line + down]?.cells[place + right]) {
    line += down;
    place += right;
    next = rows[line].cells[place].querySelector(".open");
  }
  if (next) next.focus();
  event.preventDefault();
});

// Figures: what is nearest to the pointer says its values.
const tip = document.getElementById("tip"), REACH = 14;
function nearest(svg, figure, event) {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  const chosen = shown(), known = new Set(boxes.map((box) => box.value));
  let found = null, least = REACH;
  for (const { method, title, points } of data.tips[figure.id]) {
    if (known.has(method) && !chosen.has(method)) continue;
    for (const [x, y, text] of points) {
      const far = Math.hypot(x - at.x, y - at.y);
      if (far < least) [least, found] = [far, `${title}\n${text}`];
    }
  }
  return found;
}
for (const figure of all(".chart")) {
  const svg = figure.querySelector("svg");
  svg.addEventListener("pointermove", (event) => {
    const text = nearest(svg, figure, event);
    tip.hidden = text === null;
    tip.textContent = text;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
}

// Figures are saved as they are seen, in black on white.
function drawn(svg) {
  const copy = svg.cloneNode(true), [, , width, height] = svg.getAttribute("viewBox").split(" ");
  all("[hidden]", copy).forEach((part) => part.setAttribute("display", "none"));
  copy.setAttribute("style", "color: #000; background: #fff");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  return [new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }), width, height];
}
function save(blob, name) {
  const link = element("a", null);
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
for (const button of all(".save")) {
  button.addEventListener("click", async () => {
    const figure = button.closest(".chart"), name = `${figure.id}.${button.dataset.form}`;
    const [blob, width, height] = drawn(figure.querySelector("svg"));
    if (button.dataset.form === "svg") return save(blob, name);
    const picture = new Image(), canvas = element("canvas", null);
    picture.src = URL.createObjectURL(blob);
    await picture.decode();
    [canvas.width, canvas.height] = [4 * width, 4 * height];
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(picture.src);
    canvas.toBlob((image) => save(image, name));
  });
}
show();
addEventListener("beforeprint", () => all("details").forEach((details) => { details.open = true; }));
document.documentElement.dataset.ready = "yes";
