// The calendar, the funnel of the chosen day, and the pages of the table of vessels.
"use strict";
const VESSELS = 25;

function listenToCalendar() {
  // In the order of time: the newest year stands first.
  const cells = [...document.querySelectorAll("#calendar [data-day]")].sort((a, b) => (a.dataset.day < b.dataset.day ? -1 : 1));
  if (!cells.length) return;
  const at = new Map(cells.map((cell, n) => [cell.dataset.day, n]));
  let current = cells.length - 1; // the newest day; one stop for Tab, arrows move between days
  for (const cell of cells) cell.tabIndex = -1;
  cells[current].tabIndex = 0;

  function go(n) {
    if (n < 0 || n >= cells.length) return;
    cells[current].tabIndex = -1;
    current = n;
    cells[current].tabIndex = 0;
    cells[current].closest("details").open = true;
    cells[current].focus();
  }
  // The day with outcomes that is nearest to a week away, on that side.
  function week(by) {
    const wanted = Date.parse(cells[current].dataset.day) + 7 * by * DAY_MS;
    let n = current + by;
    while (cells[n + by] && (Date.parse(cells[n].dataset.day) - wanted) * by < 0) n += by;
    go(n);
  }
  const keys = { ArrowLeft: () => go(current - 1), ArrowRight: () => go(current + 1), ArrowUp: () => week(-1), ArrowDown: () => week(1), Home: () => go(0), End: () => go(cells.length - 1) };
  $("calendar").addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey || !event.target.dataset.day) return;
    event.preventDefault();
    keys[event.key]();
  });
  $("calendar").addEventListener("click", (event) => {
    const cell = event.target.closest("[data-day]");
    if (!cell) return;
    const again = cell.getAttribute("aria-pressed") === "true";
    for (const other of cells) other.setAttribute("aria-pressed", String(other === cell && !again));
    cells[current].tabIndex = -1;
    current = at.get(cell.dataset.day);
    cell.tabIndex = 0;
    showFunnel(again ? null : cell.dataset.day);
  });
  $("funnel-all").addEventListener("click", () => {
    for (const cell of cells) cell.setAttribute("aria-pressed", "false");
    showFunnel(null);
    cells[current].focus();
  });
}

const wholeFunnel = $("funnel")?.cloneNode(true);
function showFunnel(iso) {
  const day = iso && page.days[iso];
  $("funnel-day").hidden = $("funnel-all").hidden = !day;
  if (!day) {
    $("funnel-title").textContent = "All days";
    $("funnel").replaceChildren(...wholeFunnel.cloneNode(true).childNodes);
    return;
  }
  $("funnel-title").textContent = new Date(`${iso}T00:00:00Z`).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  const [most] = day.stages[0];
  $("funnel").replaceChildren(...day.stages.map(([left, losses], n) => el("li", {},
    el("div", { class: "stage" }, el("span", {}, page.stages[n]), el("b", {}, number(left))),
    svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", width: 100, height: 10 }), svg("rect", { class: "fill", width: most ? 100 * left / most : 0, height: 10 })),
    ...(losses.length ? [el("p", { class: "loss" }, ...losses.map(([outcome, lost]) => el("span", {}, `−${number(lost)} ${page.outcomes[outcome]}`)))] : []))));
  const links = [];
  if (day.page) links.push(el("a", { href: day.page }, "Page of this day"));
  const chips = el("button", { type: "button", class: "link-like" }, "Its chips in the gallery");
  chips.addEventListener("click", () => filterBy({ day: iso }, { clear: true, show: true }));
  if (day.stages[3][0]) links.push(chips);
  $("funnel-day").replaceChildren(...links);
}

// ---- vessels in more than one split: the first rows are in the page, the others in a file

function listenToVessels() {
  const rows = $("vessel-rows");
  if (!rows || !$("vessel-pager")) return;
  const pages = Math.ceil(page.vessels / VESSELS);
  let at = 0;
  async function show(wanted) {
    try {
      await load("vessels");
    } catch (error) {
      $("vessel-at").textContent = error.message;
      return;
    }
    at = wanted;
    rows.replaceChildren(...taken.get("vessels").slice(at * VESSELS, (at + 1) * VESSELS).map(([mmsi, name, counts]) => {
      const total = counts.reduce((a, b) => a + b, 0);
      const button = el("button", { type: "button", class: "link-like", "data-filter": JSON.stringify({ text: String(mmsi) }) }, String(mmsi));
      return el("tr", {}, el("th", { scope: "row" }, button), el("td", {}, el("bdi", {}, name || "")), ...counts.map((n) => el("td", { class: "n" }, number(n))), el("td", { class: "n" }, number(total)));
    }));
    $("vessel-before").disabled = at === 0;
    $("vessel-after").disabled = at === pages - 1;
    $("vessel-at").textContent = `Page ${number(at + 1)} of ${number(pages)}`;
  }
  $("vessel-before").addEventListener("click", () => show(at - 1));
  $("vessel-after").addEventListener("click", () => show(at + 1));
}
