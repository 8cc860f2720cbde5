// The viewer: one chip large, its pictures as tabs, what AIS says of it drawn over them, its gate numbers and facts.
// Items and layouts are described in pages/items.py and pages/views.py.
"use strict";

// layouts: sheets by name. neighbour(item, by): the item before (-1) or after (1), or null, or a promise of it; then hasNeighbour
// says at once whether there is one. shown(item): called when it opens.
function createViewer({ layouts, neighbour, hasNeighbour = (item, by) => neighbour(item, by) !== null, shown = () => {} }) {
  const dialog = document.getElementById("viewer");
  const part = (name) => dialog.querySelector(`[data-part="${name}"]`);
  const [view, tabs, frame, plate, scale, caption, zoom, pixelated] =
    ["view", "tabs", "frame", "plate", "scale", "caption", "zoom", "pixelated"].map(part);
  const layerSwitches = [...dialog.querySelectorAll("[data-layer]")];
  let item = null, panel = null, wanted = "natural", magnified = 1;

  const layoutOf = (one) => (one.views ? layouts[one.views.layout] : null);
  const panelsOf = (one) => layoutOf(one)?.panels ?? [];

  // ---- the picture: a sheet of all of them, of which the frame shows one place

  function showPanel(name) {
    const panels = panelsOf(item);
    panel = panels.find((each) => each.name === name) ?? panels[0] ?? null;
    for (const tab of tabs.querySelectorAll("[role=tab]")) {
      const chosen = tab.dataset.panel === panel?.name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen) frame.setAttribute("aria-labelledby", tab.id);
    }
    const picture = plate.querySelector("img");
    if (panel) {
      const { columns, rows } = layoutOf(item), place = panels.indexOf(panel);
      Object.assign(picture.style, {
        width: `${columns * 100}%`, height: `${rows * 100}%`,
        left: `${-(place % columns) * 100}%`, top: `${-Math.floor(place / columns) * 100}%`,
      });
    }
    picture.alt = `${panel ? panel.title : "Sentinel-2 chip"} of ${item.name}, ${item.line}, the ship at its centre`;
    showCaption();
  }

  function showCaption(problem = "") {
    const missing = (layoutOf(item)?.absent ?? []).map(({ title, why }) => el("p", { class: "absent" }, el("b", {}, title), ` not there: ${why}`));
    caption.replaceChildren();
    if (panel) caption.append(el("p", {}, el("b", {}, panel.title), panel.text ? `: ${panel.text}` : ""));
    if (problem) caption.append(el("p", { class: "absent", role: "status" }, problem));
    if (panel?.legend) caption.append(el("ul", { class: "classes", "aria-label": "Colours of the picture" }, ...panel.legend.map(([colour, label]) => el("li", {}, swatch(colour), label))));
    if (panel?.ramp) caption.append(ramp(panel.ramp));
    caption.append(...missing);
  }

  const swatch = (colour) => svg("svg", { class: "swatch", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("rect", { class: "edge", width: 16, height: 16, fill: colour }));

  // A scale of colours with a line at the threshold.
  function ramp({ colours, middle, middle_text: middleText, below, above }) {
    const low = colours[0][0], high = colours.at(-1)[0], x = (value) => (value - low) / (high - low) * 240 + 10;
    const stops = colours.map(([value, colour]) => svg("stop", { offset: (value - low) / (high - low), "stop-color": colour }));
    const text = (value, anchor, y, label) => svg("text", { x: x(value), y, "text-anchor": anchor }, label);
    return svg("svg", { class: "ramp", viewBox: "0 0 260 46", role: "img", "aria-label": `From ${low}, ${below}, to ${high}, ${above}; ${middleText}` },
      svg("defs", {}, svg("linearGradient", { id: "viewer-ramp" }, ...stops)),
      svg("rect", { x: 10, y: 14, width: 240, height: 12, fill: "url(#viewer-ramp)" }),
      svg("path", { class: "limit", d: `M${x(middle)} 10V30` }),
      text(middle, "middle", 8, middleText), text(low, "start", 40, `${low} ${below}`), text(high, "end", 40, `${above} ${high}`));
  }

  function drawTabs() {
    const groups = new Map();
    for (const each of panelsOf(item)) groups.set(each.group, [...(groups.get(each.group) ?? []), each]);
    tabs.replaceChildren(...[...groups.values()].map((members) => el("div", { class: "tab-group", role: "presentation" }, ...members.map((each) =>
      el("button", { type: "button", role: "tab", id: `viewer-tab-${each.name}`, "data-panel": each.name, "aria-controls": "viewer-panel", title: each.title }, each.short)))));
    tabs.hidden = groups.size === 0;
    if (tabs.hidden) { frame.removeAttribute("role"); frame.setAttribute("aria-labelledby", "viewer-title"); } else frame.setAttribute("role", "tabpanel");
  }

  function drawPlate() {
    const picture = el("img", { src: item.views ? item.views.src : item.picture, alt: "", draggable: "false" });
    plate.replaceChildren(el("div", { class: "crop" }, picture), drawOverlay());
    if (item.views) {
      const opened = item;
      picture.addEventListener("error", () => {
        if (item !== opened) return;
        item = { ...item, views: null };
        drawTabs();
        drawPlate();
        showPanel(wanted);
        showCaption(`The pictures of this chip cannot be loaded; they lie in ${opened.views.src} beside this page.`);
        showLook();
      }, { once: true });
    }
  }

  // ---- what AIS says, in chip pixels: 0,0 is the upper left corner of the upper left pixel

  function drawOverlay() {
    const side = item.side_px, layer = svg("svg", { class: "overlay", viewBox: `0 0 ${side} ${side}`, "aria-hidden": "true" });
    const group = (name, ...children) => layer.append(svg("g", { "data-drawn": name }, ...children));
    // Every line twice: dark below, so that it shows on bright pictures too.
    const twice = (kind, d, title) => [svg("path", { class: `${kind} under`, d }), svg("path", { class: kind, d }, ...(title ? [svg("title", {}, title)] : []))];
    const outline = (box) => `M${[0, 2, 4, 6].map((n) => `${box[n]} ${box[n + 1]}`).join("L")}Z`;
    const dot = ([x, y], kind, title) => [svg("circle", { class: `${kind} under`, cx: x, cy: y }), svg("circle", { class: kind, cx: x, cy: y }, svg("title", {}, title))];

    if (item.track.length) {
      const line = item.track.map(([x, y], n) => `${n ? "L" : "M"}${x} ${y}`).join("");
      const inside = item.track.filter(([x, y]) => x >= 0 && y >= 0 && x <= side && y <= side);
      // Times only where they do not stand on each other: a ship at anchor has one.
      const named = [];
      for (const fix of inside) {
        if (named.length < 5 && named.every(([x, y]) => Math.hypot(fix[0] - x, fix[1] - y) > side / 8)) named.push(fix);
      }
      group("track", ...twice("track-line", line), ...inside.flatMap((fix) => dot(fix, "fix", `AIS fix ${fix[2]} UTC`)),
        ...named.flatMap(([x, y, time]) => [svg("text", { class: "when under", x, y }, time), svg("text", { class: "when", x, y }, time)]));
    }
    const hulls = item.labels.filter((label) => label.box);
    const bare = item.labels.filter((label) => !label.box && !label.target);
    const others = [...hulls.filter((label) => !label.target).flatMap((label) => twice("hull other", outline(label.box), label.name)),
      ...bare.flatMap((label) => twice("hull other", `M${label.at[0] - 3} ${label.at[1]}h6M${label.at[0]} ${label.at[1] - 3}v6`, label.name))];
    if (others.length) group("others", ...others);
    const [x0, y0] = item.place ? item.place.at : [side / 2 + 0.5, side / 2 + 0.5];
    if (item.place) {
      const radius = item.place.sigma_m === null ? null : item.place.sigma_m / item.pixel_m;
      const circle = radius === null ? "" : `M${x0 - radius} ${y0}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0Z`;
      group("sigma", ...(circle ? twice("sigma", circle, "Position at sensing, one sigma") : []), ...dot([x0, y0], "here", "Position at sensing"));
    }
    const inner = Math.max(12, (item.length_m || 0) / item.pixel_m / 2 + 4), outer = inner + 8;
    const cross = [[0, -1], [1, 0], [0, 1], [-1, 0]].map(([x, y]) => `M${x0 + x * inner} ${y0 + y * inner}L${x0 + x * outer} ${y0 + y * outer}`).join("");
    const own = hulls.find((label) => label.target);
    group("ship", ...twice("hull", cross), ...(own ? twice("hull", outline(own.box), own.name) : item.hull ? twice("hull", outline(item.hull), item.name) : []));
    return layer;
  }

  // ---- looks

  function showScale() {
    const acrossM = item.side_px * item.pixel_m / magnified;
    const barM = [2000, 1000, 500, 200, 100, 50, 20, 10].find((m) => m <= acrossM / 3) || 10;
    scale.firstElementChild.textContent = barM >= 1000 ? `${barM / 1000} km` : `${barM} m`;
    scale.lastElementChild.style.width = `${barM / acrossM * frame.clientWidth}px`;
  }

  function showLook() {
    if (!item?.picture && !item?.views) return;
    const before = magnified, middle = [frame.scrollLeft + frame.clientWidth / 2, frame.scrollTop + frame.clientHeight / 2];
    magnified = Number(zoom.value);
    plate.style.width = plate.style.height = `${magnified * 100}%`;
    plate.classList.toggle("crisp", pixelated.checked);
    plate.style.setProperty("--k", String(item.side_px / (frame.clientWidth * magnified || 1)));
    if (magnified !== before) {
      frame.scrollLeft = middle[0] * magnified / before - frame.clientWidth / 2;
      frame.scrollTop = middle[1] * magnified / before - frame.clientHeight / 2;
    }
    for (const label of layerSwitches) {
      const drawn = plate.querySelector(`[data-drawn="${label.dataset.layer}"]`);
      label.hidden = drawn === null;
      drawn?.toggleAttribute("hidden", !label.querySelector("input").checked);
    }
    showScale();
  }

  function magnify(by) {
    const at = zoom.selectedIndex + by;
    if (at < 0 || at >= zoom.options.length) return;
    zoom.selectedIndex = at;
    showLook();
  }

  // ---- gate numbers and facts

  function gauge({ label, value, value_text: valueText, limit, limit_text: limitText, least, holds }) {
    const verdict = holds === null ? "" : holds ? "kept" : "broken";
    const bar = svg("svg", { class: `gauge ${verdict}`, viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", y: 3, width: 100, height: 6 }));
    if (limit !== null) bar.append(svg("rect", { class: "good", x: least ? limit * 100 : 0, y: 3, width: (least ? 1 - limit : limit) * 100, height: 6 }));
    if (value !== null) bar.append(svg("rect", { class: "value", y: 4.5, width: value * 100, height: 3 }));
    if (limit !== null) bar.append(svg("path", { class: "limit", d: `M${Math.min(99.6, Math.max(0.4, limit * 100))} 0V12` }));
    const word = { kept: "✓ passed", broken: "✗ failed" }[verdict];
    return el("li", {}, el("div", { class: "gauge-line" }, el("span", {}, label), el("b", {}, valueText)), bar,
      el("p", { class: `limit-text ${verdict}` }, limitText, ...(word ? [" · ", el("b", {}, word)] : [])));
  }

  function drawFacts() {
    const sections = item.facts.map(([title, facts]) =>
      el("section", {}, el("h3", {}, title), el("dl", {}, ...facts.flatMap(([label, value]) => [el("dt", {}, label), el("dd", {}, el("bdi", {}, value))]))));
    if (item.gate) {
      const lines = item.gate.notes.map((text) => el("p", { class: "limit-text" }, text));
      sections.unshift(el("section", {}, el("h3", {}, "Gate"), el("ul", { class: "gauges" }, ...item.gate.bars.map(gauge)), ...lines));
    }
    part("facts").replaceChildren(...sections);
  }

  // ---- opening and stepping

  function open(next) {
    item = next;
    document.getElementById("viewer-title").replaceChildren(mark(item.outcome), " ", el("bdi", {}, item.name));
    const pictured = item.picture !== null || Boolean(item.views);
    view.hidden = !pictured;
    view.parentElement.classList.toggle("plain", !pictured);
    plate.replaceChildren();
    if (pictured) {
      drawTabs();
      drawPlate();
      showPanel(wanted);
    }
    part("files").replaceChildren(...item.files.map(([label, href]) => el("a", { href, target: "_blank", rel: "noopener" }, label)));
    drawFacts();
    part("previous").disabled = !hasNeighbour(item, -1);
    part("next").disabled = !hasNeighbour(item, 1);
    if (!dialog.open) dialog.showModal();
    dialog.querySelector(".body").scrollTop = 0;
    showLook();
    shown(item);
  }

  async function step(by) {
    const from = item, next = from && (await neighbour(from, by));
    if (!next || item !== from || !dialog.open) return;
    const focused = document.activeElement, tab = focused?.dataset.panel;
    open(next);
    // A tab that had the focus was drawn anew; a button that has become disabled cannot keep it.
    if (tab !== undefined) tabs.querySelector("[aria-selected=true]")?.focus();
    if (focused?.disabled) part(by < 0 ? "next" : "previous").focus();
  }

  function choose(name) {
    wanted = name;
    showPanel(name);
    showLook();
  }

  tabs.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) choose(tab.dataset.panel);
  });
  tabs.addEventListener("keydown", (event) => {
    const all = [...tabs.querySelectorAll("[role=tab]")], at = all.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const tab = all[(to + all.length) % all.length];
    choose(tab.dataset.panel);
    tab.focus();
  });
  zoom.addEventListener("input", showLook);
  pixelated.addEventListener("input", showLook);
  for (const label of layerSwitches) label.addEventListener("input", showLook);
  part("previous").addEventListener("click", () => step(-1));
  part("next").addEventListener("click", () => step(1));
  part("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select")) return;
    const pans = event.target === frame && magnified > 1; // there the arrows move the picture
    if (event.key === "ArrowLeft" && !pans) step(-1);
    if (event.key === "ArrowRight" && !pans) step(1);
    if (event.key === "+" || event.key === "=") magnify(1);
    if (event.key === "-") magnify(-1);
  });

  // A mouse drags the enlarged picture; fingers scroll it as they scroll anything.
  let held = null;
  frame.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0 || magnified === 1) return;
    held = [event.clientX + frame.scrollLeft, event.clientY + frame.scrollTop];
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    if (held) frame.scrollTo({ left: held[0] - event.clientX, top: held[1] - event.clientY, behavior: "instant" });
  });
  for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, () => { held = null; });
  addEventListener("resize", () => { if (dialog.open) showLook(); });
  return { open };
}
