// The filter and the gallery: pages of 60 cards, whose pictures are loaded when they come into sight.
"use strict";
const PAGE = 60;
const CONTROLS = ["split", "type", "month", "tile", "length", "verdict", "source", "confirmation", "text"];
const listeners = [];
let wish = {}, matching = [], found = [], place = 0;
let near = null; // chips of one mark on the map
let inView = null; // whether a chip is in sight of the map; none without the wish

const control = (name) => $(`filter-${name}`);
const onFilter = (listener) => listeners.push(listener);

function readWish() {
  wish = { day: wish.day };
  for (const name of CONTROLS) wish[name] = control(name)?.value.trim() || "";
}

function applyFilter({ keepPlace = false } = {}) {
  if (!columns) return;
  readWish();
  matching = filterChips(wish);
  for (const listener of listeners) listener(matching);
  narrow({ keepPlace });
  remember();
}

// What the map adds to the filter: it is drawn from `matching`, and the gallery shows `found`.
function narrow({ keepPlace = false } = {}) {
  found = matching;
  if (near) found = found.filter((chip) => near.has(chip));
  if (inView && $("in-view").checked) found = found.filter(inView);
  const order = $("order").value;
  if (order !== "oldest") found = [...found].sort(ORDERS[order]());
  if (!keepPlace) place = 0;
  showTokens();
  showPage();
}

function token(text, remove) {
  const button = el("button", { type: "button", class: "token", "aria-label": `Remove the filter ${text}` }, text, " ×");
  button.addEventListener("click", remove);
  return el("li", {}, button);
}

function showTokens() {
  const tokens = [];
  if (wish.day) tokens.push(token(`sensed on ${wish.day}`, () => filterBy({ day: "" })));
  if (near) tokens.push(token(`${count(near.size, "chip")} of one mark`, () => { near = null; narrow(); }));
  $("tokens").replaceChildren(...tokens);
}

let turn = 0;
async function showPage() {
  const mine = turn += 1;
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  place = Math.min(place, pages - 1);
  const shown = found.slice(place * PAGE, (place + 1) * PAGE);
  $("gallery").setAttribute("aria-busy", "true");
  try {
    await loadRows(shown, (done, all) => { if (mine === turn) $("result").textContent = `Loading, file ${done} of ${all}`; });
  } catch (error) {
    if (mine === turn) tell(error);
    return;
  }
  if (mine !== turn) return; // another filter was quicker
  const range = shown.length ? `${number(place * PAGE + 1)}–${number(place * PAGE + shown.length)} of ` : "";
  $("result").textContent = found.length === columns.count ? `${range}${count(found.length, "chip")}`
    : `${range}${count(found.length, "chip")} (${number(columns.count)} in all)`;
  $("cards").replaceChildren(...shown.map(card));
  $("none").hidden = shown.length > 0;
  $("pager").hidden = pages === 1;
  $("page-first").disabled = $("page-before").disabled = place === 0;
  $("page-after").disabled = $("page-last").disabled = place === pages - 1;
  $("page-at").textContent = `Page ${number(place + 1)} of ${number(pages)}`;
  $("gallery").removeAttribute("aria-busy");
}

function tell(error) {
  $("result").textContent = `${error.message}`;
  $("gallery").removeAttribute("aria-busy");
}

function picture(source, name, line) {
  const image = el("img", { alt: `Sentinel-2 chip of ${name}, ${line}`, width: 256, height: 256, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(el("span", { class: "gone" }, "no picture")), { once: true });
  image.src = source;
  return image;
}

function card(chip) {
  const row = rowOf(chip), name = nameOf(chip), split = textOf("split", chip);
  const length = row.length_m === null ? "" : ` · ${Math.round(row.length_m)} m`;
  const day = dateText(row.scene_datetime), line = `${textOf("tile", chip)}, ${day}`;
  return el("li", {}, el("button", { type: "button", class: "card", "data-chip": chip },
    el("span", { class: "thumb" }, picture(row.stem + page.suffixes.quicklook, name, line)),
    el("span", { class: "words" }, el("b", {}, el("bdi", {}, name)), el("span", {}, el("bdi", {}, textOf("type", chip)), length),
      el("span", { class: "tail" }, el("span", {}, day), el("span", { class: `badge s-${split}` }, split)))));
}

function turnTo(wanted) {
  place = wanted;
  showPage().then(() => {
    $("gallery").scrollIntoView({ block: "start" });
    $("cards").querySelector("button")?.focus({ preventScroll: true });
  });
}

// Set some controls from elsewhere: a bar, a vessel, a day of the calendar.
function filterBy(changes, { clear = false, show = false } = {}) {
  if (clear) {
    for (const name of CONTROLS) if (control(name)) control(name).value = "";
    wish = {};
    near = null;
  }
  for (const [name, value] of Object.entries(changes)) {
    if (name === "day") wish.day = value;
    else if (control(name)) control(name).value = value;
  }
  applyFilter();
  if (show) {
    $("gallery").scrollIntoView({ block: "start" });
    $("gallery-title").focus({ preventScroll: true });
  }
}

// The filter is in the address, so that it can be kept and passed on.
function remember() {
  const kept = new URLSearchParams(Object.entries(wish).filter(([, value]) => value));
  history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname + location.search);
}
function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of kept) {
    if (name === "day") wish.day = value;
    else if (CONTROLS.includes(name) && control(name)) control(name).value = value;
  }
}

let typing = 0;
function listenToFilter() {
  for (const name of CONTROLS) {
    control(name)?.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(applyFilter, name === "text" || name === "tile" ? 150 : 0);
    });
  }
  $("order").addEventListener("input", () => narrow());
  $("close-up").addEventListener("change", (event) => $("cards").classList.toggle("close-up", event.target.checked));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(() => { wish = {}; near = null; applyFilter(); }));
  $("page-first").addEventListener("click", () => turnTo(0));
  $("page-before").addEventListener("click", () => turnTo(place - 1));
  $("page-after").addEventListener("click", () => turnTo(place + 1));
  $("page-last").addEventListener("click", () => turnTo(Math.ceil(found.length / PAGE) - 1));
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-chip]");
    if (opener) openChip(Number(opener.dataset.chip));
    const setter = event.target.closest("[data-filter]");
    if (setter) filterBy(JSON.parse(setter.dataset.filter), { clear: true, show: true });
  });
}
