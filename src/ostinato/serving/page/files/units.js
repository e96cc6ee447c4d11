// Which hidden unit colours the text: those that mean something first, then any other by its number.

import { call, path } from "./api.js";
import { field, h, unique } from "./dom.js";

const bytes = (base64) => Int8Array.from(atob(base64), (c) => c.charCodeAt(0));

/**
 * The values of every unit for every character of a text.
 * `of(unit)` gives them for each character, -1 to 1; a character that no token has ended with has that of its token.
 */
export async function readUnits(model, text, signal) {
  const found = await call("POST", path(model, "units"), { text }, { signal });
  const [T, H] = found.shape;
  const values = bytes(found.values);
  return {
    best: found.best ?? [],
    of(unit) {
      const each = [];
      for (let t = 0; t < T; t++) {
        const value = values[t * H + unit] / 127;
        for (let c = 0; c < found.tokens[t].length; c++) each.push(value);
      }
      return each;
    },
  };
}

/** Radio buttons and a number; `onchange(unit or null)`. */
export function unitPicker(series, onchange) {
  let unit = null, best = [];
  const group = unique("unit");
  const list = h("div", { class: "unit-list" });
  const layer = h("select", {}, ...series.map((each, place) => h("option", { value: String(place) }, `${each.layer}, ${each.state}`)));
  const number = h("input", { type: "number", min: "0", step: "1", value: "0" });
  const prefix = (each) => each.name ?? `${each.layer.match(/\d+/)?.[0] ?? 1}.${each.state}`;
  const seriesOf = (given) => series.find((each) => given >= each.first && given < each.first + each.count);
  /** The column of a unit that the server names, such as "1.c.181". */
  const columnOf = (given) => {
    if (typeof given !== "string") return given;
    const each = series.find((one) => given.startsWith(`${prefix(one)}.`));
    return each ? each.first + Number(given.slice(prefix(each).length + 1)) : null;
  };
  const nameOf = (given) => {
    const each = seriesOf(given);
    return each ? `${each.layer}, unit ${given - each.first} (${each.state})` : `unit ${given}`;
  };

  function choose(given) {
    unit = given;
    for (const radio of list.querySelectorAll("input")) radio.checked = radio.value === String(unit);
    const place = series.findIndex((one) => unit !== null && unit >= one.first && unit < one.first + one.count);
    if (place >= 0) {
      layer.value = String(place);
      number.value = String(unit - series[place].first);
      number.max = String(series[place].count - 1);
    }
    onchange(unit);
  }

  function byNumber() {
    const each = series[Number(layer.value)];
    const value = Math.min(Math.max(Math.trunc(Number(number.value)) || 0, 0), each.count - 1);
    choose(each.first + value);
  }
  layer.addEventListener("change", byNumber);
  number.addEventListener("input", byNumber);

  function draw() {
    const radio = (value, words, why) => h("label", { class: "unit" },
      h("input", { type: "radio", name: group, value: String(value), checked: value === unit, onchange: () => choose(value) }),
      h("span", {}, words), why && h("small", {}, why));
    list.replaceChildren(radio(null, "No colours"),
      ...best.map((each) => radio(each.unit, each.why.charAt(0).toUpperCase() + each.why.slice(1), `${nameOf(each.unit)} · r = ${each.score.toFixed(2).replace("-", "−")}`)));
  }
  draw();
  const element = h("fieldset", { class: "units" },
    h("legend", {}, "Colour by a hidden unit"), list,
    series.length ? h("div", { class: "unit-number" }, field("Any layer", layer), field("Its unit", number)) : null);
  return {
    element, nameOf, choose,
    get unit() { return unit; },
    /** As the server calls it. */
    get name() {
      const each = unit === null ? null : seriesOf(unit);
      return each ? `${prefix(each)}.${unit - each.first}` : null;
    },
    offer(found) {
      best = found.map((each) => ({ ...each, unit: columnOf(each.unit) })).filter((each) => each.unit !== null);
      draw();
    },
  };
}
