// A classifier or tagger of recordings: numbers are pasted, a line a step, and the answer is shown.

import { call, path } from "./api.js";
import { faults, h, latest, percent } from "./dom.js";

const MOST_SEGMENTS = 200;

/** Lines of numbers as steps; a cell that is none is a missing value. */
function stepsOf(text) {
  const rows = text.split("\n").filter((line) => line.trim());
  const cellsOf = (line) => (/[,;\t]/.test(line) ? line.split(/[,;\t]/) : line.trim().split(/\s+/));
  const number = (cell) => (cell.trim() === "" || !Number.isFinite(Number(cell)) ? null : Number(cell));
  return rows.map((line) => cellsOf(line).map(number));
}

export function view(model, info) {
  const fault = faults();
  const channels = info.channels ?? [];
  const input = h("textarea", { id: "steps", rows: "12", spellcheck: "false", placeholder: channels.join(", ") });
  const found = h("ul", { class: "legend", "aria-live": "polite" });
  let isClosed = false;

  const inWords = (number, deviation) => `${Number(number.toPrecision(5))}${deviation === undefined ? "" : ` ± ${Number(deviation.toPrecision(2))}`}`;
  const told = (output) => {
    if (output.number !== undefined) return [inWords(output.number, output.deviation)];
    if (output.numbers) return output.numbers.slice(0, MOST_SEGMENTS).map((each, at) => `${at}: ${inWords(each, output.deviations?.[at])}`);
    if (output.segments) return output.segments.slice(0, MOST_SEGMENTS).map(([first, end, tag, p]) => `${first} to ${end - 1}: ${tag}, ${percent(p)}`);
    return Object.entries(output.probabilities).sort((a, b) => b[1] - a[1]).map(([name, p]) => `${name}, ${percent(p)}${output.labels?.includes(name) ? " ✓" : ""}`);
  };

  const answer = latest(async (text) => {
    const values = stepsOf(text);
    if (isClosed) return;
    if (!values.length) return found.replaceChildren();
    try {
      const { outputs } = await call("POST", path(model, "predict"), { inputs: [{ values }] });
      if (isClosed) return;
      fault.clear();
      found.replaceChildren(...told(outputs[0]).map((line) => h("li", {}, line)));
    } catch (error) {
      fault.show(error);
    }
  }, 200);
  input.addEventListener("input", () => answer(input.value));

  const element = h("div", { class: "two" },
    h("div", { class: "stack" },
      h("div", { class: "card tight" }, h("label", { class: "hint", for: "steps" }, `A recording: a line a step, with ${channels.join(", ")}. Leave no column out; what is no number is missing.`), input),
      fault.element),
    h("div", { class: "card stack" }, found));
  return { element, begin() {}, close() { isClosed = true; answer.cancel(); } };
}
