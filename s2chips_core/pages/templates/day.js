// The day's own script: gallery, filters, map. The larger view of a chip is viewer.js.
"use strict";
(() => {
  const PAGE = 60, ROWS = 100;
  const EARTH_KM = 6378.137; // radius of Web Mercator's sphere
  const { chunks, layouts, labels } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  let items = [], byId = new Map(), whole = null;

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

  function showRows() {
    const rows = $("refused-rows");
    if (!rows) return;
    const kept = new Set(found.map((place) => items[place].id));
    let fitting = 0;
    for (const row of rows.children) {
      const fit = kept.has(row.dataset.id);
      if (fit) fitting += 1;
      row.hidden = !fit || fitting > rowsShown;
    }
    const visible = Math.min(fitting, rowsShown);
    $("refused-result").textContent = `${visible.toLocaleString("en")} of ${count(rows.children.length, "row")}, filtered as the gallery is.`;
    $("refused-more").hidden = fitting <= rowsShown;
    $("refused-more").textContent = `Show ${Math.min(ROWS, fitting - visible)} more`;
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
    const kept = new Set(found.map((place) => items[place].id));
    for (const node of document.querySelectorAll("#footprints [data-id]")) node.toggleAttribute("hidden", !kept.has(node.dataset.id));
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
    const at = found.indexOf(item.place);
    return at < 0 || found[at + by] === undefined ? null : found[at + by];
  }
  const viewer = createViewer({
    layouts,
    neighbour: async (item, by) => { const place = besides(item, by); return place === null ? null : whole(place); },
    hasNeighbour: (item, by) => besides(item, by) !== null,
    shown(item) {
      for (const node of document.querySelectorAll("#footprints .lit")) node.classList.remove("lit");
      document.querySelector(`#footprints [data-id="${item.id}"]`)?.classList.add("lit");
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

  // ---- map: the view is a centre and a resolution, in the kilometres of day_map.py

  function drawMap(chart) {
    const layers = { graticule: $("graticule"), footprints: $("footprints"), labels: $("labels") };
    const lon0 = Number(chart.dataset.lon0), lat0 = Number(chart.dataset.lat0);
    const rad = Math.PI / 180, psi0 = Math.asinh(Math.tan(lat0 * rad));
    const box = (text) => text.split(" ").map(Number);
    const home = box(chart.dataset.home), whole = box(chart.dataset.whole);
    const xOf = (lon) => EARTH_KM * (lon - lon0) * rad;
    const yOf = (lat) => -EARTH_KM * (Math.asinh(Math.tan(lat * rad)) - psi0);
    const lonOf = (x) => lon0 + x / EARTH_KM / rad;
    const latOf = (y) => Math.atan(Math.sinh(psi0 - y / EARTH_KM)) / rad;
    let x = 0, y = 0, resolution = 1; // kilometres of the map for one CSS pixel

    const size = () => [chart.clientWidth || 1, chart.clientHeight || 1];
    function fit([left, top, width, height]) {
      const [w, h] = size();
      [x, y] = [left + width / 2, top + height / 2];
      resolution = Math.max(width / w, height / h);
      draw();
    }
    function zoom(factor, px, py) {
      const [w, h] = size();
      const [dx, dy] = [(px ?? w / 2) - w / 2, (py ?? h / 2) - h / 2];
      const most = Math.max(40100 / w, 1), next = Math.min(most, Math.max(0.0005, resolution * factor));
      x += dx * (resolution - next);
      y += dy * (resolution - next);
      resolution = next;
      draw();
    }
    function move(px, py) {
      x += px * resolution;
      y += py * resolution;
      draw();
    }

    const steps = [60, 30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
    const pickStep = (span) => steps.find((step) => span / step >= 3.5) || 0.001;
    function degree(value, step, letters) {
      const digits = step >= 1 ? 0 : Math.min(3, Math.ceil(-Math.log10(step) - 1e-9));
      const turned = letters === "EW" ? ((value + 540) % 360) - 180 : value;
      const text = Math.abs(turned).toFixed(digits);
      const bare = Number(text) === 0 || (letters === "EW" && Number(text) === 180);
      return `${text}°${bare ? "" : ` ${turned < 0 ? letters[1] : letters[0]}`}`;
    }

    function draw() {
      const [w, h] = size();
      y = Math.min(yOf(-85), Math.max(yOf(85), y));
      const left = x - w / 2 * resolution, top = y - h / 2 * resolution;
      layers.footprints.setAttribute("viewBox", `${left} ${top} ${w * resolution} ${h * resolution}`);
      layers.footprints.style.setProperty("--k", String(resolution));
      layers.footprints.classList.toggle("near", 2.56 / resolution > 16);
      for (const name of ["graticule", "labels"]) layers[name].setAttribute("viewBox", `0 0 ${w} ${h}`);
      const lines = [], texts = [];
      const west = lonOf(left), east = lonOf(left + w * resolution);
      const lonStep = pickStep((east - west) * Math.min(1, 700 / w));
      for (let n = Math.ceil(west / lonStep); n * lonStep <= east; n += 1) {
        const px = (xOf(n * lonStep) - left) / resolution;
        lines.push(svg("path", { class: "meridian", d: `M${px} 0V${h}` }));
        if (px > 24 && px < w - 24) texts.push(svg("text", { class: "degree", x: px, y: h - 8, "text-anchor": "middle" }, degree(n * lonStep, lonStep, "EW")));
      }
      const north = latOf(top), south = latOf(top + h * resolution);
      const latStep = pickStep(north - south);
      for (let n = Math.ceil(south / latStep); n * latStep <= north; n += 1) {
        const py = (yOf(n * latStep) - top) / resolution;
        lines.push(svg("path", { class: "meridian", d: `M0 ${py}H${w}` }));
        if (py > 60 && py < h - 26) texts.push(svg("text", { class: "degree", x: 8, y: py - 4 }, degree(n * latStep, latStep, "NS")));
      }
      // True kilometres: Mercator stretches by 1 / cos(latitude).
      const kmPerPx = resolution * Math.cos(latOf(y) * rad);
      const barKm = [5000, 2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05].find((km) => km / kmPerPx <= 130) || 0.05;
      const barPx = barKm / kmPerPx;
      texts.push(svg("path", { class: "ruler", d: `M${w - 14 - barPx} ${h - 32}v5h${barPx}v-5` }));
      texts.push(svg("text", { class: "degree", x: w - 14, y: h - 37, "text-anchor": "end" }, barKm >= 1 ? `${barKm.toLocaleString("en")} km` : `${barKm * 1000} m`));
      for (const [text, sx, sy, width] of names) {
        const [px, py] = [(sx + width / 2 - left) / resolution, (sy - top) / resolution];
        if (px > -40 && px < w + 40 && py > -20 && py < h) texts.push(svg("text", { class: "name", x: px, y: py + 15, "text-anchor": "middle" }, text));
      }
      layers.graticule.replaceChildren(...lines);
      layers.labels.replaceChildren(...texts);
    }

    const go = $("go");
    const names = go ? [...go.options].filter((o) => o.value).map((o) => [o.textContent.split(" · ")[0], ...box(o.value)]) : [];
    go?.addEventListener("change", () => {
      if (!go.value) return;
      const [left, top, width, height] = box(go.value);
      fit([left - width * 0.05, top - height * 0.05, width * 1.1, height * 1.1]);
      go.value = "";
    });

    const acts = {
      in: () => zoom(1 / 1.6), out: () => zoom(1.6), home: () => fit(home), whole: () => fit(whole),
      left: () => move(-90, 0), right: () => move(90, 0), up: () => move(0, -90), down: () => move(0, 90),
    };
    for (const button of chart.querySelectorAll("[data-map]")) button.addEventListener("click", () => acts[button.dataset.map]());
    const keys = { "+": "in", "=": "in", "-": "out", "_": "out", 0: "whole", ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
    chart.addEventListener("keydown", (event) => {
      if (event.target !== chart || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape") chart.blur();
      if (!(event.key in keys)) return;
      event.preventDefault();
      acts[keys[event.key]]();
    });
    chart.addEventListener("wheel", (event) => {
      // Until the map was chosen the wheel scrolls the page.
      if (!chart.contains(document.activeElement) && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const frame = chart.getBoundingClientRect();
      zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * (event.deltaMode ? 0.05 : 0.002)))), event.clientX - frame.left, event.clientY - frame.top);
    }, { passive: false });

    const fingers = new Map();
    let dragged = 0;
    chart.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest("button, select")) return;
      if (fingers.size === 0) dragged = 0;
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    chart.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = [event.clientX, event.clientY], [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      const other = [...fingers.entries()].find(([id]) => id !== event.pointerId)?.[1];
      dragged += Math.hypot(dx, dy);
      if (dragged < 4) return;
      fingers.set(event.pointerId, now);
      if (!chart.hasPointerCapture(event.pointerId)) chart.setPointerCapture(event.pointerId);
      chart.classList.add("dragging");
      if (other) {
        const frame = chart.getBoundingClientRect();
        const was = Math.hypot(before[0] - other[0], before[1] - other[1]), is = Math.hypot(now[0] - other[0], now[1] - other[1]);
        if (was > 0 && is > 0) zoom(was / is, (now[0] + other[0]) / 2 - frame.left, (now[1] + other[1]) / 2 - frame.top);
        move(-dx / 2, -dy / 2);
      } else {
        move(-dx, -dy);
      }
    });
    const lift = (event) => {
      fingers.delete(event.pointerId);
      if (fingers.size === 0) chart.classList.remove("dragging");
    };
    chart.addEventListener("pointerup", lift);
    chart.addEventListener("pointercancel", lift);
    chart.addEventListener("click", (event) => {
      const hit = event.target.closest("[data-id]");
      if (hit && dragged < 4) openById(hit.dataset.id);
    });
    new ResizeObserver(() => draw()).observe(chart);
    fit(home);
  }

  async function start() {
    if ($("chart")) drawMap($("chart"));
    $("result").textContent = "Unpacking the data of the page…";
    try {
      ({ items, whole } = await openStore(chunks));
    } catch (error) {
      $("result").textContent = error.message;
      $("result").classList.add("banner", "warning");
      return;
    }
    byId = new Map(items.map((item) => [item.id, item.place]));
    chips = items.filter((item) => item.picture !== null).length;
    listen();
    apply();
    if (location.hash.length > 1) openById(decodeURIComponent(location.hash.slice(1)));
  }
  start();
})();
