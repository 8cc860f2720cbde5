// The chips in the larger view (viewer.js): what its items want, made of columns and chunks; and the start of everything.
"use strict";
const PIXEL_M = 10, SIDE_PX = page.side_px;
const NOT_SAID = "not said";

const said = (value, unit = "", digits = 0) => (value === null || value === undefined || value === "" ? NOT_SAID : typeof value === "number" ? `${value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}${unit}` : `${value}${unit}`);
const words = (value) => said(value).replaceAll("_", " ");
const share = (value) => (value === null ? NOT_SAID : `${(value * 100).toFixed(1)} %`);
const timeText = (ms) => `${new Date(ms).toISOString().replace("T", " ").replace(/(\.000)?Z$/, "")} UTC`;
const placeText = (lat, lon) => `${Math.abs(lat).toFixed(5)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(5)}° ${lon < 0 ? "W" : "E"}`;
function duration(seconds, signed = false) {
  if (seconds === null) return NOT_SAID;
  const total = Math.round(Math.abs(seconds)), hours = Math.floor(total / 3600), minutes = Math.floor(total % 3600 / 60);
  const parts = [hours && `${hours} h`, (hours || minutes) && `${minutes} min`, !hours && `${total % 60} s`].filter(Boolean);
  return (signed && total ? (seconds < 0 ? "−" : "+") : "") + parts.join(" ");
}

// Bow-port, bow-starboard, stern-starboard, stern-port, the antenna taken to be amidships; up is north.
function hullOf(row, [col, line]) {
  const direction = row.heading_deg ?? (row.sog_kn >= page.course_from_kn ? row.cog_deg : null);
  if (direction === null || !row.length_m) return null;
  const ahead = row.length_m / PIXEL_M / 2, aside = (row.width_m || row.length_m / 6) / PIXEL_M / 2, turn = direction * Math.PI / 180;
  const [sine, cosine] = [Math.sin(turn), Math.cos(turn)];
  return [[ahead, -aside], [ahead, aside], [-ahead, aside], [-ahead, -aside]].flatMap(([fore, right]) => [col + fore * sine + right * cosine, line - fore * cosine + right * sine]);
}

function barOf([label, column, limit, least], row) {
  const value = row[column], bound = `at ${least ? "least" : "most"} ${share(limit)}`;
  return { label, value, value_text: value === null ? "not measured" : share(value), limit, limit_text: bound, least, holds: value === null ? null : least ? value >= limit : value <= limit };
}

function gateOf(row, chip) {
  const now = row.config_hash === page.config_hash;
  const bars = page.gate.map((one) => barOf(one, row));
  if (!now) for (const bar of bars) Object.assign(bar, { limit: null, limit_text: "limit not known", holds: null });
  const notes = [`Verdict: ${words(textOf("verdict", chip))}.`];
  if (!now) notes.push(`Made with another configuration (${row.config_hash}) than today's.`);
  return { bars, notes };
}

function itemOf(chip) {
  const row = rowOf(chip), at = [SIDE_PX / 2 + 0.5, SIDE_PX / 2 + 0.5], split = textOf("split", chip), type = textOf("type", chip);
  const day = new Date(row.ais_time).toISOString().slice(0, 10), report = page.days[day]?.page;
  const ship = [["Name", columns.names[columns.vessel[chip]].trim() || NOT_SAID], ["MMSI", String(columns.mmsi[columns.vessel[chip]])], ["Type", type],
    ["Size", row.length_m === null ? NOT_SAID : `${said(row.length_m, " m")}${row.width_m === null ? "" : ` × ${said(row.width_m, " m")}`}`],
    ["Heading", said(row.heading_deg, "°")], ["Speed", said(row.sog_kn, " kn", 1)], ["Course", said(row.cog_deg, "°")]].filter(([label, value]) => label === "Name" || value !== NOT_SAID);
  const confirmed = ["Confirmation", textOf("confirmation", chip) === NOT_SAID ? "could not be judged" : textOf("confirmation", chip)];
  const vessels = ["AIS vessels in the chip", said(row.vessels)];
  return {
    id: `chip-${row.chip_id}`, chip, outcome: "chipped", split, type, name: nameOf(chip), mmsi: ship[1][1],
    line: `${textOf("tile", chip)} · ${new Date(row.scene_datetime).toISOString().slice(0, 16).replace("T", " ")}`,
    picture: row.stem + page.suffixes.quicklook, side_px: SIDE_PX, pixel_m: PIXEL_M,
    views: row.views === null ? null : { src: `${row.views_folder}/${row.chip_id}.jpg`, layout: row.views },
    place: { at, sigma_m: row.position_sigma_m }, hull: hullOf(row, at), length_m: row.length_m, labels: [], track: [], gate: gateOf(row, chip),
    files: [...[["GeoTIFF", "tif"], ["Quicklook", "quicklook"], ["Sidecar", "json"], ["Footprint", "geojson"]].map(([label, kind]) => [label, row.stem + page.suffixes[kind]]),
      ...(report ? [["On the page of its day", `${report}#chip-${row.chip_id}`]] : [])],
    facts: [
      ["Ship", [...ship, confirmed, vessels]],
      ["Time and place", [["Sensed", timeText(row.scene_datetime)], ["AIS fix", timeText(row.ais_time)], ["Scene minus AIS", duration(row.dt_s, true)],
        ["Chip centre", placeText(row.lat, row.lon)], ["AIS position", placeText(row.ais_lat, row.ais_lon)], ["Method", words(row.position_method)],
        ["Gap to nearest fix", duration(row.position_gap_s)], ["Sigma", said(row.position_sigma_m, " m")], ["AIS source", words(textOf("source", chip))]]],
      ["Scene", [["Scene", said(row.scene_id)], ["Platform, tile", `${row.platform}, ${textOf("tile", chip)}`], ["Cloud cover", said(row.cloud_cover, " %", 1)],
        ["Baseline", said(row.processing_baseline)], ["BOA offset", `${row.boa_offset_dn} DN`], ["Archive", `${row.provider}, ${row.collection}`]]],
      ["Chip", [["Chip id", row.chip_id], ["Split", split], ["Bands", row.bands], ["Config hash", row.config_hash]]],
    ],
  };
}

// The chip before or after in the gallery's order, if its file is here already.
function neighbour(item, by) {
  const at = found.indexOf(item.chip), next = at < 0 ? undefined : found[at + by];
  return next === undefined || !taken.has(chunkOf(next)[0]) ? null : itemOf(next);
}

function prepare(item) {
  const at = found.indexOf(item.chip);
  if (at >= 0) loadRows(found.slice(Math.max(0, at - 20), at + 20)).catch(() => {});
}

const viewer = $("viewer") && createViewer({ layouts: page.layouts, neighbour, shown: prepare });

async function openChip(chip) {
  try {
    await loadRows([chip, ...found.slice(Math.max(0, found.indexOf(chip) - 1), found.indexOf(chip) + 2)]);
    viewer.open(itemOf(chip));
  } catch (error) {
    tell(error);
  }
}

// ---- the start

async function start() {
  listenToCalendar();
  listenToVessels();
  if (!$("cards")) return;
  listenToFilter();
  recall();
  try {
    await loadColumns();
  } catch (error) {
    tell(error);
    return;
  }
  applyFilter();
  const chart = $("chart");
  new IntersectionObserver((seen, observer) => {
    if (!seen.some((one) => one.isIntersecting)) return;
    observer.disconnect();
    openMap();
  }, { rootMargin: "600px" }).observe(chart);
}
start();
