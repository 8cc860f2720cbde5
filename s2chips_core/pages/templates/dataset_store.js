// The data of all chips: loading the files beside the page, filtering and sorting. Text goes in as text, never as markup.
"use strict";
const page = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const DAY_MS = 86_400_000;

const dateText = (moment) => new Date(moment).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const number = (n) => n.toLocaleString("en");

// ---- files: a page opened from a disk may not fetch, but may load scripts that hand their data to `take`

const taken = new Map(), asked = new Map();
window.s2chips = Object.freeze({ take: (name, data) => { taken.set(name, data); } });

function load(name) {
  if (!asked.has(name)) {
    asked.set(name, new Promise((resolve, reject) => {
      const script = el("script", { src: `assets/${page.assets[name]}` });
      script.addEventListener("load", () => resolve(taken.get(name)));
      script.addEventListener("error", () => {
        asked.delete(name);
        reject(new Error(`reports/assets/${page.assets[name]} is not there. Was the page made anew? Then reload it.`));
      });
      document.head.append(script);
    }));
  }
  return asked.get(name);
}

// ---- columns of all chips

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i2: Int16Array, i4: Int32Array, f4: Float32Array };
function unpack({ t, d }) {
  const text = atob(d), bytes = new Uint8Array(text.length);
  for (let n = 0; n < bytes.length; n += 1) bytes[n] = text.charCodeAt(n);
  return new ARRAYS[t](bytes.buffer);
}

let columns = null;
async function loadColumns() {
  const raw = await load("columns");
  columns = { count: raw.count, mmsi: raw.mmsi, names: raw.names, dict: raw.dict };
  for (const [name, value] of Object.entries(raw)) if (value.t) columns[name] = unpack(value);
  columns.firstDay = Date.parse(`${raw.first_day}T00:00:00Z`);
  columns.search = raw.names.map((name, n) => `${raw.mmsi[n]} ${name.toLowerCase()}`);
  return columns;
}
const dayOf = (chip) => new Date(columns.firstDay + columns.day[chip] * DAY_MS).toISOString().slice(0, 10);
const dayNumber = (iso) => Math.round((Date.parse(`${iso}T00:00:00Z`) - columns.firstDay) / DAY_MS);
const nameOf = (chip) => columns.names[columns.vessel[chip]].trim() || `MMSI ${columns.mmsi[columns.vessel[chip]]}`;
const textOf = (column, chip) => columns.dict[column][columns[column][chip]];

// ---- chunks

function chunkOf(chip) {
  let low = 0, high = page.chunks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (page.chunks[middle][1] <= chip) low = middle; else high = middle - 1;
  }
  return page.chunks[low];
}

// What its chunk says of a chip, by column name; the chunk has been loaded.
function rowOf(chip) {
  const [name, first] = chunkOf(chip), chunk = taken.get(name), at = chip - first, row = {};
  for (const [column, values] of Object.entries(chunk)) if (Array.isArray(values)) row[column] = values[at];
  for (const [column, codes] of Object.entries(chunk.codes)) row[column] = chunk.dict[column][codes[at]];
  row.stem = `../${row.folder.split("/").map(encodeURIComponent).join("/")}/${encodeURIComponent(row.chip_id)}`;
  return row;
}

async function loadRows(chips, progress = () => {}) {
  const names = [...new Set(chips.map((chip) => chunkOf(chip)[0]))].filter((name) => !taken.has(name));
  let done = 0;
  await Promise.all(names.map((name) => load(name).then(() => { done += 1; progress(done, names.length); })));
}

// ---- filter and order

// The chips that a wish lets through, in the order of the index; `wish` holds texts as the controls have them, empty for all.
function filterChips(wish) {
  const { dict, count: all } = columns, tests = [];
  for (const name of ["split", "type", "verdict", "source", "confirmation"]) {
    if (!wish[name]) continue;
    const code = dict[name].indexOf(wish[name]), values = columns[name];
    tests.push((chip) => values[chip] === code);
  }
  if (wish.tile) {
    const fits = Uint8Array.from(dict.tile, (tile) => tile.startsWith(wish.tile.toUpperCase()));
    tests.push((chip) => fits[columns.tile[chip]]);
  }
  if (wish.month) {
    const [year, month] = wish.month.split("-").map(Number);
    const [from, to] = [Date.UTC(year, month - 1), Date.UTC(year, month)].map((t) => Math.round((t - columns.firstDay) / DAY_MS));
    tests.push((chip) => columns.day[chip] >= from && columns.day[chip] < to);
  }
  if (wish.day) {
    const day = dayNumber(wish.day);
    tests.push((chip) => columns.day[chip] === day);
  }
  if (wish.length) {
    const [from, to] = wish.length.split(" ").map(Number);
    tests.push((chip) => columns.length[chip] >= from && columns.length[chip] < to);
  }
  if (wish.text) {
    const text = wish.text.toLowerCase(), fits = Uint8Array.from(columns.search, (one) => one.includes(text));
    tests.push((chip) => fits[columns.vessel[chip]]);
  }
  const found = [];
  for (let chip = 0; chip < all; chip += 1) if (tests.every((test) => test(chip))) found.push(chip);
  return found;
}

// Unknown lengths and speeds are the largest numbers of their arrays: they come last.
const ORDERS = {
  newest: () => (a, b) => b - a,
  oldest: () => (a, b) => a - b,
  longest: () => (a, b) => known(columns.length[b], 0xffff) - known(columns.length[a], 0xffff) || b - a,
  fastest: () => (a, b) => known(columns.speed[b], 0xff) - known(columns.speed[a], 0xff) || b - a,
  // The same for everybody, but neighbours in time fall apart: 2654435761 is Knuth's multiplier.
  mixed: () => (a, b) => (Math.imul(a + 1, 2654435761) >>> 0) - (Math.imul(b + 1, 2654435761) >>> 0),
};
const known = (value, unknown) => (value === unknown ? -1 : value);
