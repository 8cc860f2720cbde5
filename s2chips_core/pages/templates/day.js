// The day's own script: gallery, filters, table. The map is day_map.js, the larger view of a chip viewer.js.
"use strict";
(() => {
  const PAGE = 60, ROWS = 100;
  const AT_ONCE = 1000; // items; the map of more is opened when it comes near
  const { chunks, layouts, labels } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  let items = [], byId = new Map(), whole = null, map = null, lit = null;

  function openMap() {
    map = createMap($("chart"), { opened: (id) => openById(id), kept: () => (byId.size ? new Set(found.map((place) => items[place].id)) : null), lit: () => lit });
  }

  // ---- filters and gallery

  const controls = { outcome: $("filter-outcome"), split: $("filter-split"), type: $("filter-type"), text: $("filter-text") };
  let chips = 0, found = [], shown = 0, rowsShown = ROWS;

  function fits(item, wish) {
    return (!wish.outcome || item.outcome === wish.outcome) && (!wish.split || item.split === wish.split)
      && (!wish.type || item.type === wish.type)
      && (!wish.text || item.mmsi.includes(wish.text) || item.name.toLowerCase().includes(wish.text));
  }

  function card(item) {
    const words = el("span", { class: "words" }, el("b", {}, el("bdi", {}, item.name)));
    const thumb = el("span", { class: "thumb" });
    if (item.picture !== null) {
      const lazy = item.picture.startsWith("data:") ? {} : { loading: "lazy" };
      thumb.append(el("img", { alt: `Sentinel-2 chip of ${item.name}, ${item.line}`, width: 256, height: 256, decoding: "async", ...lazy, src: item.picture }));
      words.append(el("span", {}, el("bdi", {}, item.type)), el("span", { class: "tail" }, el("span", {}, item.line), el("span", { class: "badge" }, item.split)));
    } else {
      thumb.append(mark(item.outcome));
      words.append(el("span", {}, labels[item.outcome]), el("span", {}, el("bdi", {}, item.line)));
    }
    const button = el("button", { type: "button", class: "card", "data-open": item.id }, thumb, words);
    return el("li", {}, button);
  }

  function showMore() {
    const first = shown;
    const next = found.slice(shown, shown + PAGE);
    $("cards").append(...next.map((place) => card(items[place])));
    shown += next.length;
    const left = found.length - shown;
    $("more").hidden = left === 0;
    $("more").textContent = `Show ${Math.min(PAGE, left)} more of ${left.toLocaleString("en")}`;
    return first;
  }

  // Rows of the table in its order, which is that of the items; of many the later ones are unfolded when one is wanted.
  const firstRows = [...($("refused-rows")?.children ?? [])];
  let laterRows = null;
  function rowOf(number) {
    if (number < firstRows.length) return firstRows[number];
    laterRows ??= [...unfold($("refused-others")).querySelectorAll("tbody tr")];
    return laterRows[number - firstRows.length];
  }

  function showRows() {
    const rows = $("refused-rows");
    if (!rows) return;
    const fitting = found.filter((place) => items[place].picture === null);
    const visible = fitting.slice(0, rowsShown);
    rows.replaceChildren(...visible.map((place) => rowOf(place - chips)));
    $("refused-result").textContent = `${visible.length.toLocaleString("en")} of ${count(items.length - chips, "row")}, filtered as the gallery is.`;
    $("refused-more").hidden = fitting.length <= rowsShown;
    $("refused-more").textContent = `Show ${Math.min(ROWS, fitting.length - visible.length)} more`;
  }

  function apply() {
    const wish = Object.fromEntries(Object.entries(controls).map(([key, control]) => [key, control.value.trim().toLowerCase()]));
    wish.type = controls.type.value; // ship types are compared as they are written
    found = [];
    items.forEach((item, place) => { if (fits(item, wish)) found.push(place); });
    const pictured = found.filter((place) => items[place].picture !== null).length;
    const others = items.length - chips;
    $("result").textContent = `${pictured.toLocaleString("en")} of ${count(chips, "chip")}`
      + (others ? ` and ${(found.length - pictured).toLocaleString("en")} of ${count(others, "target")} without a chip` : "");
    $("cards").replaceChildren();
    shown = 0;
    rowsShown = ROWS;
    showMore();
    showRows();
    map?.filter();
  }

  function listen() {
    for (const control of Object.values(controls)) control.addEventListener("input", apply);
    $("filters").addEventListener("reset", () => setTimeout(apply));
    $("more").addEventListener("click", () => {
      const first = showMore();
      $("cards").children[first]?.querySelector("button").focus({ preventScroll: true });
    });
    $("refused-more")?.addEventListener("click", () => { rowsShown += ROWS; showRows(); });
    for (const pick of document.querySelectorAll(".pick")) {
      pick.addEventListener("click", () => {
        controls.outcome.value = pick.dataset.outcome;
        apply();
        $("gallery").scrollIntoView();
      });
    }
  }
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("close-up").addEventListener("change", (event) => $("cards").classList.toggle("close-up", event.target.checked));

  // ---- the larger view

  // The place of the item before or after in the gallery's order.
  function besides(item, by) {
    const at = found.indexOf(item.number);
    return at < 0 || found[at + by] === undefined ? null : found[at + by];
  }
  const viewer = createViewer({
    layouts,
    neighbour: async (item, by) => { const place = besides(item, by); return place === null ? null : whole(place); },
    hasNeighbour: (item, by) => besides(item, by) !== null,
    shown(item) {
      lit = item.id;
      map?.light();
      for (const by of [-1, 1]) { const place = besides(item, by); if (place !== null) whole(place); } // ready when it is stepped to
    },
  });
  let wanted = null;
  async function openById(id) {
    if (!byId.has(id)) return;
    wanted = id;
    const item = await whole(byId.get(id));
    if (wanted === id) viewer.open(item);
  }
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]");
    if (opener) openById(opener.dataset.open);
  });

  async function start() {
    const counted = chunks.reduce((sum, chunk) => sum + chunk.count, 0);
    if ($("chart") && counted <= AT_ONCE) openMap();
    else if ($("chart")) {
      new IntersectionObserver((seen, observer) => {
        if (!seen.some((one) => one.isIntersecting)) return;
        observer.disconnect();
        openMap();
      }, { rootMargin: "200px" }).observe($("chart"));
    }
    $("result").textContent = "Unpacking the data of the page…";
    try {
      ({ items, whole } = await openStore(chunks));
    } catch (error) {
      $("result").textContent = error.message;
      $("result").classList.add("banner", "warning");
      for (const control of [...$("filters").elements, $("close-up"), ...document.querySelectorAll(".pick, [data-open]")]) control.disabled = true;
      $("refused-rows")?.append(...unfold($("refused-others")).querySelectorAll("tbody tr"));
      return;
    }
    byId = new Map(items.map((item) => [item.id, item.number]));
    chips = items.filter((item) => item.picture !== null).length;
    listen();
    apply();
    if (location.hash.length > 1) openById(decodeURIComponent(location.hash.slice(1)));
  }
  start();
})();
