// The items of the day: all of them with what the gallery and the filters need, and the rest of those that are looked at.
// Their form in the page is described in pages/item_chunks.py.
"use strict";
const HEAD = ["id", "outcome", "split", "type", "name", "mmsi", "line", "picture"];
const OPEN_CHUNKS = 16;
const NO_INFLATE = "This browser cannot unpack the data of the page, so there is no gallery, no filter and no larger view: they need "
  + "Chrome or Edge 80, Firefox 113, Safari 16.4 or a later one. The map and the tables of this page are complete without.";

async function inflate(text) {
  const packed = atob(text), bytes = new Uint8Array(packed.length);
  for (let n = 0; n < bytes.length; n += 1) bytes[n] = packed.charCodeAt(n);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
}

// `items`: {number, id, outcome, …} of all. `whole(number)`: a promise of the item with all its fields.
async function openStore(chunks) {
  if (typeof DecompressionStream === "undefined") throw new Error(NO_INFLATE);
  const items = [], starts = [], open = new Map();
  const heads = await Promise.all(chunks.map(({ head }) => inflate(head)));
  heads.forEach((rows, number) => {
    starts.push(items.length);
    for (const values of rows) {
      const item = { number: items.length };
      HEAD.forEach((name, column) => { item[name] = values[column]; });
      if (typeof item.picture === "number") item.picture = chunks[number].pictures[item.picture];
      items.push(item);
    }
  });

  function chunkOf(place) {
    let low = 0, high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= place) low = middle; else high = middle - 1;
    }
    return low;
  }

  // The chunks that were asked for last stay open.
  async function whole(place) {
    const number = chunkOf(place), rests = open.get(number) ?? inflate(chunks[number].rest);
    open.delete(number);
    open.set(number, rests);
    if (open.size > OPEN_CHUNKS) open.delete(open.keys().next().value);
    return { ...items[place], ...(await rests)[place - starts[number]] };
  }

  return { items, whole };
}
