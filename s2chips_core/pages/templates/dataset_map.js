// The map of all chips: Leaflet moves it, Supercluster gathers what would overlap, Natural Earth draws the coast.
"use strict";
const MAX_ZOOM = 15;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let map = null, clusters = null, marks = null, coast = null, lines = null;

async function openMap() {
  const chart = $("chart");
  try {
    await Promise.all(["leaflet", "supercluster", "land", "coast", "columns"].map(load));
  } catch (error) {
    $("map-state").textContent = error.message;
    return;
  }
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  map = L.map(chart, {
    zoomControl: false, attributionControl: false, minZoom: 0, maxZoom: MAX_ZOOM, zoomSnap: 0.5, worldCopyJump: true,
    maxBoundsViscosity: 1, maxBounds: [[-85, -Infinity], [85, Infinity]], scrollWheelZoom: false,
    zoomAnimation: !still, fadeAnimation: !still, markerZoomAnimation: !still, keyboardPanDelta: 90,
  });
  L.control.zoom({ position: "topright" }).addTo(map);
  L.control.scale({ imperial: false, position: "bottomright", maxWidth: 120 }).addTo(map);
  coast = L.layerGroup().addTo(map);
  lines = L.layerGroup().addTo(map);
  marks = L.layerGroup().addTo(map);
  fitMap(false);
  drawCoast();
  map.on("moveend", () => { drawLines(); drawMarks(); });
  // Until the map was chosen the wheel scrolls the page.
  map.on("focus click", () => map.scrollWheelZoom.enable());
  map.on("blur", () => map.scrollWheelZoom.disable());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawCoast(); drawLines(); });
  chart.addEventListener("keydown", (event) => {
    if (event.target === chart && event.key === "0") fitMap(true);
  });
  $("fit").addEventListener("click", () => fitMap(true));
  $("in-view").addEventListener("change", () => lookAt());
  for (const id of ["fit", "in-view-label"]) $(id).hidden = false;
  onFilter(gather);
  gather(matching.length ? matching : filterChips({}));
}

// ---- the ground

// The polygons or lines of a file: an array of rings of [lat, lon] for each.
function shapesOf({ step, points, rings, polygons }) {
  const values = unpack(points);
  let at = 0, ring = 0;
  return polygons.map((members) => rings.slice(ring, ring += members).map((length) => {
    const found = [];
    for (const end = at + 2 * length; at < end; at += 2) found.push([values[at + 1] * step, values[at] * step]);
    return found;
  }));
}

function drawCoast() {
  coast.clearLayers();
  const renderer = L.canvas({ padding: 0.4 }), plain = { renderer, interactive: false, stroke: false, fillOpacity: 1 };
  const line = { renderer, interactive: false, weight: 1, color: colour("--coast") };
  const land = { ...plain, fillColor: colour("--land"), smoothFactor: 0.7 }, sea = { ...plain, fillColor: colour("--sea") };
  // The world before and after this one, for what lies across the antimeridian.
  const draw = (shapes, make) => {
    for (const turn of [-360, 0, 360]) for (const shape of shapes) coast.addLayer(make(shape.map((ring) => ring.map(([lat, lon]) => [lat, lon + turn]))));
  };
  draw(shapesOf(taken.get("land").land), (rings) => L.polygon(rings, { ...land, ...line, stroke: true, fill: true }));
  const fine = taken.get("coast");
  draw(shapesOf(fine.region), (rings) => L.polygon(rings, sea));
  draw(shapesOf(fine.land), (rings) => L.polygon(rings, land));
  draw(shapesOf(fine.coast), (rings) => L.polyline(rings, line));
}

const STEPS = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];
function drawLines() {
  lines.clearLayers();
  const bounds = map.getBounds(), [west, east, south, north] = [bounds.getWest(), bounds.getEast(), bounds.getSouth(), bounds.getNorth()];
  const step = STEPS.find((one) => (east - west) / one >= 3 * Math.min(2, map.getSize().x / 400)) || 0.01;
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)), style = { color: colour("--grat"), weight: 1, interactive: false };
  const said = (value, letters) => `${Math.abs(value).toFixed(digits)}°${Math.abs(value) < 1e-9 || (letters === "EW" && Math.abs(value) === 180) ? "" : ` ${letters[value < 0 ? 1 : 0]}`}`;
  const label = (lat, lon, text, at) => lines.addLayer(L.marker([lat, lon], { interactive: false, keyboard: false, icon: L.divIcon({ className: `degree ${at}`, html: el("span", {}, text), iconSize: null }) }));
  for (let n = Math.ceil(west / step); n * step <= east; n += 1) {
    lines.addLayer(L.polyline([[Math.max(-85, south - 5), n * step], [Math.min(85, north + 5), n * step]], style));
    const x = map.latLngToContainerPoint([south, n * step]).x;
    if (x > 30 && x < map.getSize().x - 30) label(south, n * step, said((((n * step + 180) % 360) + 360) % 360 - 180, "EW"), "below");
  }
  for (let n = Math.ceil(south / step); n * step <= north; n += 1) {
    lines.addLayer(L.polyline([[n * step, west - 10], [n * step, east + 10]], style));
    label(n * step, west, said(n * step, "NS"), "beside");
  }
}

function fitMap(animate) {
  const all = matching.length ? matching : filterChips({});
  if (!all.length) return map.setView([20, 0], 2);
  // Longitudes are taken where the widest gap between them lies outside: Fiji is one place, not two.
  const lons = Float32Array.from(all, (chip) => columns.lon[chip]).sort();
  let [gap, start] = [lons[0] + 360 - lons[lons.length - 1], 0];
  for (let n = 1; n < lons.length; n += 1) if (lons[n] - lons[n - 1] > gap) [gap, start] = [lons[n] - lons[n - 1], n];
  const west = lons[start], east = west + 360 - gap;
  let [south, north] = [90, -90];
  for (const chip of all) { south = Math.min(south, columns.lat[chip]); north = Math.max(north, columns.lat[chip]); }
  map.fitBounds([[south, west], [north, east]], { padding: [36, 36], maxZoom: 9, animate });
}

// ---- the chips

function gather(chips) {
  clusters = new Supercluster({ radius: 56, maxZoom: MAX_ZOOM, minPoints: 2 });
  clusters.load(Array.from(chips, (chip) => ({ type: "Feature", properties: { chip }, geometry: { type: "Point", coordinates: [columns.lon[chip], columns.lat[chip]] } })));
  if (map.getSize().x) drawMarks();
}

let byKey = false; // the mark in focus goes when its cluster opens: another one gets the focus
function drawMarks() {
  drawLines();
  const bounds = map.getBounds(), middle = map.getCenter().lng;
  const shown = clusters.getClusters([bounds.getWest(), Math.max(-85, bounds.getSouth()), bounds.getEast(), Math.min(85, bounds.getNorth())], Math.floor(map.getZoom()));
  shown.sort((a, b) => b.geometry.coordinates[1] - a.geometry.coordinates[1]); // Tab goes from north to south
  const focused = document.activeElement?.dataset?.mark;
  marks.clearLayers();
  let chips = 0;
  for (const one of shown) {
    const [lon, lat] = one.geometry.coordinates, turned = lon + 360 * Math.round((middle - lon) / 360);
    chips += one.properties.point_count || 1;
    marks.addLayer(one.properties.cluster ? clusterMark(one, lat, turned) : chipMark(one.properties.chip, lat, turned));
  }
  $("map-state").textContent = `${count(chips, "chip")} in sight, in ${count(shown.length, "mark")}`;
  const same = focused && document.querySelector(`#chart [data-mark="${focused}"]`);
  if (same) same.focus({ preventScroll: true });
  else if (byKey || focused) {
    byKey = false;
    (document.querySelector("#chart .leaflet-marker-icon[tabindex]") || $("chart")).focus({ preventScroll: true });
  }
  lookAt();
}

function pin(lat, lon, icon, key, label, act) {
  const made = L.marker([lat, lon], { icon, keyboard: true, riseOnHover: true, autoPanOnFocus: false });
  made.on("add", () => {
    made.getElement().setAttribute("aria-label", label);
    made.getElement().dataset.mark = key;
  });
  made.on("click", act);
  made.on("keydown", ({ originalEvent: event }) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    byKey = true;
    act();
  });
  return made;
}

function clusterMark(one, lat, lon) {
  const { cluster_id: id, point_count: size } = one.properties;
  const side = Math.round(26 + 9 * Math.log10(size)), text = size < 1000 ? number(size) : `${(size / 1000).toFixed(size < 10_000 ? 1 : 0)}k`;
  const icon = L.divIcon({ className: "cluster", html: el("span", {}, text), iconSize: [side, side] });
  const near_ = `${Math.abs(lat).toFixed(1)}° ${lat < 0 ? "south" : "north"}, ${Math.abs(one.geometry.coordinates[0]).toFixed(1)}° ${one.geometry.coordinates[0] < 0 ? "west" : "east"}`;
  return pin(lat, lon, icon, `cluster-${id}`, `${count(size, "chip")} near ${near_}`, () => {
    const zoom = clusters.getClusterExpansionZoom(id);
    if (zoom <= MAX_ZOOM) map.setView([lat, lon], zoom);
    else {
      near = new Set(clusters.getLeaves(id, Infinity).map((leaf) => leaf.properties.chip));
      byKey = false;
      narrow();
      $("gallery").scrollIntoView({ block: "start" });
      $("gallery-title").focus({ preventScroll: true });
    }
  });
}

function chipMark(chip, lat, lon) {
  const split = textOf("split", chip);
  const icon = L.divIcon({ className: `dot s-${split}`, html: el("span"), iconSize: [18, 18] });
  const made = pin(lat, lon, icon, `chip-${chip}`, `${nameOf(chip)}, ${textOf("type", chip)}, ${dayOf(chip)}, ${split}`, () => { byKey = false; openChip(chip); });
  return made.bindTooltip(el("span", {}, el("bdi", {}, nameOf(chip)), ` · ${dayOf(chip)}`), { direction: "top", offset: [0, -8] });
}

function lookAt() {
  const bounds = map.getBounds(), middle = map.getCenter().lng;
  inView = (chip) => bounds.contains([columns.lat[chip], columns.lon[chip] + 360 * Math.round((middle - columns.lon[chip]) / 360)]);
  if ($("in-view").checked || lookAt.was) narrow();
  lookAt.was = $("in-view").checked;
}
