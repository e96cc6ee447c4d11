// The picture of a forecast: what was, the fan, and points that can be moved.

import { h, s, short } from "./dom.js";

const HEIGHT = 380, MARGIN = { left: 48, right: 10, top: 14, bottom: 30 };
const SHOWN = 96; // of the past; on a phone a third
const NARROW = 560; // pixels
const APART = matchMedia("(pointer: coarse)").matches ? 15 : 6; // points that can be held, in pixels

/** Round numbers between two. */
function ticks(low, high, count = 5) {
  const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const found = [], digits = Math.max(-Math.floor(Math.log10(step) + 1e-9), 0);
  found.shown = (v) => v.toFixed(digits).replace("-", "−");
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) found.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return found;
}

/** `ahead`: steps of the forecast that will come, for which there is room from the beginning. */
export function chart({ onmove, ahead = 12 }) {
  let values = [], truth = [], handles = 0, found = null, before = null, range = null, dragged = null, width = 900, timeOf = null, stride = 1;
  const back = s("g", { "aria-hidden": "true" }), front = s("g", { role: "group", "aria-label": "The last values" });
  const svg = s("svg", { class: "chart", role: "group", "aria-label": "The series and its forecast" }, back, front);
  const element = h("div", {}, svg);
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now === 0 || Math.abs(now - width) < 2) return;
    width = now;
    draw();
  }).observe(element);

  const from = () => Math.max(values.length - (width < NARROW ? SHOWN / 3 : SHOWN), 0);
  const steps = () => Math.max(values.length - from() + ahead, 2);
  const x = (t) => MARGIN.left + ((t - from()) / (steps() - 1)) * (width - MARGIN.left - MARGIN.right);
  const y = (v) => HEIGHT - MARGIN.bottom - ((v - range[0]) / (range[1] - range[0])) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const valueAt = (place) => range[0] + ((HEIGHT - MARGIN.bottom - place) / (HEIGHT - MARGIN.top - MARGIN.bottom)) * (range[1] - range[0]);

  /** The range holds all that is seen; while a point is dragged it only grows, so that the ground stays where it is. */
  function fit() {
    const seen = [...values.slice(from()), ...truth.slice(from())].filter((v) => v !== null && v !== undefined);
    for (const each of [found, before]) if (each) seen.push(...each.mean, ...Object.values(each.levels).flatMap(({ low, high }) => [...low, ...high]));
    let [low, high] = [Math.min(...seen), Math.max(...seen)];
    const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
    [low, high] = [low - room, high + room];
    range = range && dragged !== null ? [Math.min(range[0], low), Math.max(range[1], high)] : [low, high];
  }

  const path = (points) => {
    let d = "", isOpen = false;
    for (const [t, v] of points) {
      if (v === null || v === undefined) { isOpen = false; continue; }
      d += `${isOpen ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`;
      isOpen = true;
    }
    return d;
  };

  function draw() {
    if (!values.length) return;
    fit();
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.setAttribute("height", HEIGHT);
    const apart = Math.max(Math.ceil(APART / (x(1) - x(0))), 1);
    if (apart !== stride && dragged === null && !front.contains(document.activeElement)) {
      stride = apart;
      makeHandles();
    }
    const end = values.length, last = values.findLast((v) => v !== null), parts = [];
    const levels = ticks(...range);
    for (const v of levels) parts.push(s("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(v), y2: y(v) }),
      s("text", { x: MARGIN.left - 8, y: y(v) + 4, "text-anchor": "end" }, levels.shown(v)));
    const count = width < NARROW ? (timeOf ? 3 : 4) : 9;
    for (const t of ticks(from() - end + 1, steps() - (end - from()), count)) {
      if (!Number.isInteger(t)) continue;
      const words = timeOf ? timeOf(end - 1 + t) : t === 0 ? "now" : t > 0 ? `+${t}` : `−${-t}`;
      const at = Math.min(Math.max(x(end - 1 + t), MARGIN.left), width - MARGIN.right - words.length * 2.5);
      parts.push(s("text", { x: at, y: HEIGHT - 8, "text-anchor": "middle" }, words));
    }
    parts.push(s("line", { class: "now", x1: x(end - 1), x2: x(end - 1), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }));
    if (found) {
      for (const { low, high } of Object.values(found.levels).reverse()) {
        const forth = [[end - 1, last], ...high.map((v, i) => [end + i, v])], back_ = low.map((v, i) => [end + i, v]).reverse();
        parts.push(s("path", { class: "fan", d: `${path([...forth, ...back_])}Z` }));
      }
      if (before) parts.push(s("path", { class: "before", d: path(before.mean.map((v, i) => [truth.length + i, v]).filter(([t]) => t < from() + steps())) }));
      parts.push(s("path", { class: "mean", d: path([[end - 1, last], ...found.mean.map((v, i) => [end + i, v])]) }));
    }
    parts.push(s("path", { class: "history", d: path(values.map((v, t) => [t, v]).slice(from())) }));
    back.replaceChildren(...parts);
    place();
  }

  /** Handles stay the same elements, so that the one that is held, or has the focus, keeps it. */
  function place() {
    for (const group of front.children) {
      const t = Number(group.dataset.at), v = values[t];
      const isMoved = v !== truth[t];
      group.classList.toggle("moved", isMoved);
      const [was, circle, reach] = group.children;
      for (const each of [circle, reach]) {
        each.setAttribute("cx", x(t));
        each.setAttribute("cy", y(v));
      }
      const old = truth[t] ?? v;
      for (const [name, value] of Object.entries({ x1: x(t), x2: x(t), y1: y(old), y2: y(v) })) was.setAttribute(name, value);
      group.setAttribute("aria-valuenow", String(Number(v.toPrecision(6))));
      group.setAttribute("aria-valuemin", String(Number(range[0].toPrecision(4))));
      group.setAttribute("aria-valuemax", String(Number(range[1].toPrecision(4))));
      group.setAttribute("aria-valuetext", `${short(v)}${isMoved && truth[t] !== undefined ? `, was ${short(truth[t])}` : ""}`);
    }
  }

  function makeHandles() {
    const made = [];
    const last = values.length - 1;
    for (let t = Math.max(last - handles + 1, 0); t <= last; t++) {
      const isHeld = (last - t) % stride === 0 || values[t] !== truth[t]; // what was moved stays within reach
      if (!isHeld || values[t] === null) continue;
      const group = s("g", { role: "slider", "data-at": String(t), tabindex: t === values.length - 1 ? "0" : "-1", "aria-orientation": "vertical",
        "aria-label": timeOf ? `The value of ${timeOf(t)}` : t === values.length - 1 ? "The last value" : `The value ${values.length - 1 - t} before the last` },
        s("line", { class: "was" }), s("circle", { class: "point", r: "4.2" }), s("circle", { class: "reach", r: "11" }));
      group.addEventListener("pointerdown", (event) => {
        dragged = t;
        group.setPointerCapture(event.pointerId);
        group.focus({ preventScroll: true });
        event.preventDefault();
      });
      group.addEventListener("pointermove", (event) => {
        if (dragged !== t) return;
        const box = svg.getBoundingClientRect();
        const at = Math.min(Math.max(((event.clientY - box.top) / box.height) * HEIGHT, -40), HEIGHT + 20);
        onmove(t, rounded(valueAt(at)));
      });
      for (const end of ["pointerup", "pointercancel"]) group.addEventListener(end, () => { dragged = null; draw(); });
      group.addEventListener("keydown", (event) => key(event, t));
      made.push(group);
    }
    front.replaceChildren(...made);
  }

  const rounded = (v) => Number(v.toPrecision(5));

  function key(event, t) {
    const group = front.querySelector(`[data-at="${t}"]`);
    const unit = (range[1] - range[0]) / 100 * (event.shiftKey ? 5 : 1);
    const moves = { ArrowUp: unit, ArrowDown: -unit, PageUp: 10 * unit, PageDown: -10 * unit }[event.key];
    const next = { ArrowLeft: group.previousElementSibling, ArrowRight: group.nextElementSibling, Home: front.firstElementChild, End: front.lastElementChild };
    if (moves !== undefined) onmove(t, rounded(values[t] + moves));
    else if (event.key in next) {
      const to = next[event.key];
      if (to) {
        group.setAttribute("tabindex", "-1");
        to.setAttribute("tabindex", "0");
        to.focus();
      }
    } else if ((event.key === "Delete" || event.key === "Backspace") && truth[t] !== undefined) onmove(t, truth[t]);
    else return;
    event.preventDefault();
  }

  return {
    element,
    /** Another series, or one point more. */
    begin(given, count, times = null, isMore = false) {
      values = [...given];
      handles = count;
      timeOf = times;
      if (!isMore) {
        truth = [...given];
        found = before = null;
      }
      range = null;
      makeHandles();
    },
    points(given, was) {
      values = [...given];
      truth = [...was];
      if (!front.children.length) makeHandles();
      draw();
    },
    /** The fan behind `length` values; and the one before, to compare. */
    fan(given, length, other) {
      if (length !== values.length) return;
      found = given;
      ahead = given.mean.length;
      before = other;
      draw();
    },
    expected: () => found?.mean[0] === undefined ? null : rounded(found.mean[0]),
    focusLast() { front.lastElementChild?.focus(); },
  };
}
