// Elements without markup: what a model or a person wrote becomes text nodes and attributes, never HTML.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const h = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

let names = 0;
export const unique = (name) => `${name}-${++names}`;

/** A labelled control. */
export function field(name, control, ...more) {
  const id = (control.id ||= unique("field"));
  return h("div", { class: "field" }, h("label", { class: "name", for: id }, name), control, ...more);
}

/** A slider that tells its value. */
export function slider(name, { min, max, step, value, shown = (v) => v, onchange = () => {} }) {
  const id = unique("slider");
  const output = h("output", { for: id }, shown(value));
  const input = h("input", { id, type: "range", min, max, step, value, oninput: () => {
    output.textContent = shown(Number(input.value));
    input.setAttribute("aria-valuetext", shown(Number(input.value)));
    onchange(Number(input.value));
  } });
  const element = h("div", { class: "field" }, h("label", { class: "name", for: id }, name, output), input);
  return { element, input, get value() { return Number(input.value); } };
}

/** Said to those who listen instead of looking. */
export function announce(text) {
  const live = document.getElementById("live");
  live.textContent = "";
  requestAnimationFrame(() => { live.textContent = text; });
}

/** Blanks that can be seen. */
export const visible = (text) =>
  text === "" ? "∅" : text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣").replace(/[\p{Cc}\p{Cf}]/gu, "�");

export const percent = (p) => (p >= 0.9995 ? "100 %" : p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);
export const signed = (v) => (v < 0 ? "−" : "+") + Math.abs(v).toFixed(2);
export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

/** Numbers as short as they can be read. */
export function short(v) {
  if (v === null || !Number.isFinite(v)) return "–";
  const size = Math.abs(v);
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  return v.toFixed(digits).replace("-", "−");
}

/** Of calls that come faster than they are done, the last one; never two at a time. */
export function latest(work, wait = 0) {
  let next = null, running = false, timer = 0;
  async function go() {
    timer = 0;
    if (running) return;
    running = true;
    while (next) {
      const given = next;
      next = null;
      await work(...given);
    }
    running = false;
  }
  const ask = (...given) => {
    next = given;
    clearTimeout(timer);
    timer = setTimeout(go, wait);
  };
  ask.cancel = () => { next = null; clearTimeout(timer); };
  return ask;
}

/** A place for what went wrong, in words; empty while nothing did. */
export function faults() {
  const element = h("div", { role: "alert" });
  return {
    element,
    clear() { element.replaceChildren(); },
    show(error) {
      if (error?.name === "AbortError") return;
      const words = error?.words ?? `Something in this page went wrong: ${error?.message ?? error}`;
      if (!error?.words) console.error(error);
      element.replaceChildren(h("p", { class: "fault" }, h("strong", {}, error?.title ?? "That did not work. "), words));
    },
  };
}
