// What all scripts of our pages use to make elements. Text goes in as text, never as markup.
"use strict";
const SVG = "http://www.w3.org/2000/svg";
function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
const mark = (outcome) => svg("svg", { class: `mark o-${outcome}`, viewBox: "-8 -8 16 16", "aria-hidden": "true" }, svg("use", { href: `#mark-${outcome}` }));
const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
// What a browser without scripts shows there, as elements: to this one it is one text until it is wanted, however long.
// It is the page's own markup, in which all that comes from others was escaped when it was made.
const unfold = (noscript) => new DOMParser().parseFromString(noscript?.textContent ?? "", "text/html").body;
