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
const THEMES = { system: "as the system", light: "light", dark: "dark" };
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

// Sorting. What everything is measured against stays on top.
const VERDICTS = ["equivalent", "no difference found", "inconclusive", "different"]; // best first
function sortable(cell) {
  const place = VERDICTS.indexOf(cell.textContent.trim());
  if (place >= 0) return place;
  const number = cell.textContent.replaceAll(",", "").match(/[+-]?\d+(\.\d+)?/);
  return number && !/^[A-Za-z]/.test(cell.textContent.trim()) ? Number(number[0]) : cell.textContent.trim();
}
const absent = (value) => value === "–" || value === "";
function compare(a, b, down) {
  if (absent(a) || absent(b)) return absent(a) - absent(b); // last, whichever way
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return down ? -order : order;
}
for (const button of all(".sort")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), table = button.closest("table"), place = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.querySelector("tbody.sortable");
    const rows = [...body.rows].map((row) => [sortable(row.cells[place]), row]);
    rows.sort(([a], [b]) => compare(a, b, down));
    body.append(...rows.map(([, row]) => row));
  });
}

// Which methods are shown: in tables, figures and what is copied.
const shown = () => new Set(boxes.filter((box) => box.checked).map((box) => box.value));
function show() {
  const chosen = shown();
  const known = new Set(boxes.map((box) => box.value));
  for (const part of all("[data-method]")) part.toggleAttribute("hidden", known.has(part.dataset.method) && !chosen.has(part.dataset.method));
  const cited = document.getElementById("bibtex");
  if (cited) cited.textContent = bibtex();
  memory.set("hidden", JSON.stringify(boxes.filter((box) => !box.checked).map((box) => box.value)));
}
const hidden = new Set(JSON.parse(memory.get("hidden") ?? "[]"));
for (const box of boxes) {
  box.checked = !hidden.has(box.value);
  box.addEventListener("change", show);
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
for (const button of all(".copy")) {
  button.addEventListener("click", () => {
    const figure = button.closest("[data-table]");
    const { top, rows, bottom } = data.tables[figure.dataset.table][button.dataset.form];
    const visible = all("tr[data-row]", figure).filter((row) => !row.hidden).map((row) => rows[row.dataset.row]);
    copy([...top, ...visible, ...bottom, ""].join("\n"), button.dataset.form === "csv" ? "CSV" : "LaTeX");
  });
}
document.getElementById("copy-bibtex")?.addEventListener("click", () => copy(bibtex(), "BibTeX"));

// The runs behind a cell.
const COLUMNS = [["original_seed", "original"], ["forget_seed", "forget set"], ["run_seed", "run seed"]];
const number = (value) => (typeof value === "number" && !Number.isInteger(value) ? value.toFixed(3) : (value ?? "–"));
function table(head, rows) {
  const row = (kind, cells) => element("tr", null, ...cells.map((cell) => element(kind, String(cell))));
  const box = element("div", null, element("table", null, element("thead", null, row("th", head)), element("tbody", null, ...rows.map((cells) => row("td", cells)))));
  box.className = "scroll";
  box.tabIndex = 0;
  return box;
}
function openRuns(button) {
  const method = button.closest("tr").dataset.method, key = button.dataset.key;
  const runs = data.runs[button.closest("section").dataset.group];
  const own = runs.label.flatMap((label, place) => (label === method ? [place] : []));
  const head = button.closest("table").tHead.rows[0].cells[button.closest("th, td").cellIndex].textContent.trim();
  const extra = key ? [key] : ["forget_accuracy", "retain_accuracy", "test_accuracy", "ft_auc", "avg_gap"].filter((name) => name in runs);
  if (key && `${key}_gap` in runs) extra.push(`${key}_gap`);
  const columns = [...COLUMNS, ...extra.map((name) => [name, name.replaceAll("_", " ")]), ["seconds", "seconds"], ["run", "record"], ["source", "source of the method"]];
  const unique = columns.filter(([name], place) => columns.findIndex(([other]) => other === name) === place);
  const rows = own.map((place) => unique.map(([name]) => number(runs[name][place])));
  const settings = Object.entries(data.settings[method] ?? {}).map(([name, value]) => `${name} = ${value}`).join(", ");
  const failed = data.failures.filter((one) => one.label === method);
  document.getElementById("runs-title").textContent = key ? `${method}: ${head}` : method;
  document.getElementById("runs-body").replaceChildren(
    table(unique.map(([, title]) => title), rows),
    element("p", `Hyperparameters: ${settings || "none"}.`),
    ...failed.map((one) => element("p", `Failed: ${one.run}: ${one.error}`)),
  );
  document.getElementById("runs").showModal();
}
for (const button of all(".open")) button.addEventListener("click", () => openRuns(button));
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
function written(svg) {
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
    const [blob, width, height] = written(figure.querySelector("svg"));
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
