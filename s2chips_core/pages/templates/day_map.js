// The map of a day: its view is a centre and a resolution, in the kilometres of day_map.py.
//
// Up to MOST_ELEMENTS shapes are elements of an SVG. Of more only those in view are, if they are so few; else they are
// painted: the same marks and outlines, but a browser need not lay out thousands of elements at every step.
"use strict";
const EARTH_KM = 6378.137; // radius of Web Mercator's sphere
const CHIP_KM = 2.56;
const MOST_ELEMENTS = 1000;
const REACH_PX = 9; // of a click on what is painted

// opened(id): called when a shape is chosen. kept(): the ids that the filter lets through, or null for all. lit(): the id to show.
function createMap(chart, { opened, kept, lit }) {
  const $ = (id) => document.getElementById(id);
  const drawn = document.adoptNode(unfold($("drawn")).querySelector("svg"));
  $("drawn").replaceWith(drawn);
  const layers = { graticule: $("graticule"), footprints: drawn, labels: $("labels") };
  const shapes = [...drawn.querySelectorAll("[data-id]")].map((node) => {
    const outline = node.querySelector(".footprint")?.getAttribute("d") ?? null;
    const [x, y] = (outline === null ? node : node.querySelector("g")).getAttribute("transform").match(/-?[\d.]+/g).map(Number);
    const kind = [...node.classList].find((name) => name.startsWith("o-"));
    return { node, kind, group: node.parentNode, id: node.dataset.id, x, y, outline, mark: node.querySelector(".held").getAttribute("d"), kept: true };
  });
  const crowd = shapes.length > MOST_ELEMENTS ? createCrowd(chart, drawn) : null;
  if (crowd) for (const { node } of shapes) node.remove();
  const litShape = () => shapes.find((shape) => shape.id === lit());
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
    layers.footprints.classList.toggle("near", CHIP_KM / resolution > 16);
    if (crowd) drawCrowd(left, top, w, h);
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

  let painted = [], asked = null, quiet = 0; // shapes that are not elements; what the next frame is to paint
  function drawCrowd(left, top, w, h) {
    const margin = Math.max(CHIP_KM * 4, 12 * resolution), right = left + w * resolution, bottom = top + h * resolution;
    const inside = shapes.filter((one) => one.kept && one.x > left - margin && one.x < right + margin && one.y > top - margin && one.y < bottom + margin);
    painted = inside.length > MOST_ELEMENTS ? inside : [];
    for (const group of drawn.querySelectorAll(".refused, .chips")) {
      group.replaceChildren(...(painted.length ? [] : inside.filter((one) => one.group === group).map((one) => one.node)));
    }
    if (!asked) requestAnimationFrame(() => { asked.now(); asked = null; });
    asked = { now: () => crowd.paint(painted, { left, top, w, h, resolution, lit: lit() }) };
  }
  function paintedAt(event) {
    if (!painted.length) return null;
    const frame = chart.getBoundingClientRect(), [w, h] = size();
    const px = x + (event.clientX - frame.left - w / 2) * resolution, py = y + (event.clientY - frame.top - h / 2) * resolution;
    let nearest = null, least = Math.max(REACH_PX * resolution, CHIP_KM / 2);
    for (const one of painted) {
      const away = Math.hypot(one.x - px, one.y - py);
      if (away <= least) [nearest, least] = [one, away];
    }
    return nearest;
  }

  function filter() {
    const ids = kept();
    for (const shape of shapes) {
      shape.kept = ids === null || ids.has(shape.id);
      shape.node.toggleAttribute("hidden", !shape.kept);
    }
    if (crowd) draw();
  }
  function light() {
    for (const node of drawn.querySelectorAll(".lit")) node.classList.remove("lit");
    litShape()?.node.classList.add("lit");
    if (!crowd) return;
    clearTimeout(quiet); // not for each of those that are only stepped over
    quiet = setTimeout(draw, 200);
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
    if (!before) {
      const under = painted.length && event.target === crowd.canvas ? paintedAt(event) : null;
      if (crowd) [crowd.canvas.title, crowd.canvas.style.cursor] = under ? [under.node.querySelector("title").textContent, "pointer"] : ["", ""];
      return;
    }
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
    const hit = event.target.closest("[data-id]")?.dataset.id ?? (event.target === crowd?.canvas ? paintedAt(event)?.id : undefined);
    if (hit !== undefined && dragged < 4) opened(hit);
  });
  new ResizeObserver(() => draw()).observe(chart);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  filter();
  light();
  fit(home);
  return { filter, light };
}

// The layer on which many shapes are painted, as page.css draws few.
function createCrowd(chart, drawn) {
  const canvas = el("canvas", { class: "layer", "aria-hidden": "true" });
  drawn.after(canvas);
  const context = canvas.getContext("2d"), paths = new Map();
  const pathOf = (d) => {
    if (!paths.has(d)) paths.set(d, new Path2D(d));
    return paths.get(d);
  };

  function colourOf(kind, group) {
    const probe = svg("g", { class: kind });
    group.append(probe);
    const colour = getComputedStyle(probe).getPropertyValue("--c");
    probe.remove();
    return colour;
  }

  // Filled, all of one kind are one path; drawn as lines they are quicker one by one.
  function paint(shapes, { left, top, w, h, resolution, lit }) {
    canvas.hidden = shapes.length === 0;
    if (canvas.hidden) return;
    const sharp = devicePixelRatio || 1, near = CHIP_KM / resolution > 16, outlined = CHIP_KM / resolution > 6; // smaller ones lie under their marks
    const [wide, high] = [Math.round(w * sharp), Math.round(h * sharp)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, wide, high);
    const kinds = new Map();
    for (const shape of shapes) {
      if (!kinds.has(shape.kind)) kinds.set(shape.kind, { group: shape.group, outlines: new Path2D(), marks: new Path2D() });
      const { outlines, marks } = kinds.get(shape.kind), large = (shape.outline === null ? 1 : 0.8) * resolution;
      if (shape.outline !== null && outlined) outlines.addPath(pathOf(shape.outline));
      if (shape.outline === null || !near) marks.addPath(pathOf(shape.mark), { a: large, d: large, e: shape.x, f: shape.y });
    }
    const k = sharp / resolution; // pixels for a kilometre
    context.setTransform(k, 0, 0, k, -left * k, -top * k);
    const fill = (path, alpha) => {
      context.globalAlpha = alpha;
      context.fill(path);
      context.globalAlpha = 1;
    };
    for (const [kind, { group, outlines, marks }] of kinds) {
      context.fillStyle = context.strokeStyle = colourOf(kind, group);
      fill(outlines, 0.22);
      for (const one of shapes) {
        if (one.outline === null || one.kind !== kind || !outlined) continue;
        if (one.id === lit) fill(pathOf(one.outline), 0.4);
        context.lineWidth = (one.id === lit ? 2.5 : 1.4) * resolution;
        context.stroke(pathOf(one.outline));
      }
      context.lineWidth = 2 * resolution;
      context.strokeStyle = getComputedStyle(drawn).getPropertyValue("--halo");
      context.stroke(marks);
      context.fill(marks);
    }
  }
  return { canvas, paint };
}
