// A forecaster: the fan, and points that can be dragged to ask "what if".

import { announce, faults, field, h, latest, short } from "./dom.js";
import { chart } from "./chart.js";
import { Session, isLost } from "./session.js";
import { timesOf } from "./times.js";

const HANDLES = 24; // the last points can be dragged; the session is marked before them

export function view(model, info) {
  const fault = faults();
  const examples = info.examples ?? [];
  let truth = [], values = [], timeOf = null, first = null, session = null, marked = null, isClosed = false;
  const plot = chart({ ahead: info.horizon, onmove: (place, value) => { values[place] = value; changed(); } });
  const horizon = h("input", { type: "number", min: "1", max: "500", value: String(info.horizon ?? 12) });
  const seed = h("input", { type: "number", min: "0", value: "1" });
  const own = h("textarea", { id: "own", rows: "2", spellcheck: "false", placeholder: "12.5, 13.1, 12.9, …" });
  const numbers = h("div", { class: "wide" });
  const summary = h("p", { class: "number", "aria-live": "polite" });
  const settings = () => ({ horizon: Math.min(Math.max(Math.trunc(Number(horizon.value)) || 1, 1), 500), levels: info.levels ?? [50, 80, 95], seed: Number(seed.value) || 0 });

  /** The fan from here. Only the points behind the mark are read again; what is before them the state has in it. */
  async function forecast(series) {
    const from = Math.max(series.length - HANDLES, 1);
    const key = JSON.stringify([series.slice(0, from), chosen.value]);
    if (!session || marked !== key) {
      session?.end();
      const at = Number(chosen.value), name = examples[at]?.series;
      const begin = { past: series.slice(0, from), ...(name != null && at >= 0 ? { series: name } : {}), ...(examples[at]?.start && at >= 0 ? { start: examples[at].start } : {}) };
      session = await Session.open(model, { ...begin, ...settings() });
      await session.mark("what_if");
      marked = key;
    } else await session.rewind("what_if");
    const given = series.slice(from);
    if (!given.length) return session.view.forecast;
    return (await session.steps({ values: given, ...settings() })).forecast;
  }

  const ask = latest(async () => {
    if (isClosed || values.length < 2) return;
    const given = [...values];
    try {
      let found;
      try {
        found = await forecast(given);
      } catch (error) {
        if (!isLost(error)) throw error;
        session = null;
        found = await forecast(given);
      }
      if (isClosed) return;
      fault.clear();
      first ??= found;
      plot.fan(found, given.length, isChanged() ? first : null);
      add.disabled = false;
      tell(found);
    } catch (error) {
      fault.show(error);
    }
  }, 15);

  const isChanged = () => values.length !== truth.length || values.some((value, i) => value !== truth[i]);

  function changed() {
    reset.disabled = !isChanged();
    add.disabled = plot.expected() === null;
    plot.points(values, truth);
    ask();
  }

  function show(series) {
    truth = [...series];
    values = [...series];
    first = null;
    timeOf = timesOf(examples[Number(chosen.value)]?.start, info.step);
    plot.begin(values, HANDLES, timeOf);
    changed();
  }

  function tell(found) {
    const levels = Object.keys(found.levels), widest = levels.at(-1), n = found.mean.length;
    const last = found.levels[widest];
    const when = (t) => (timeOf ? timeOf(values.length - 1 + t) : `+${t}`);
    summary.textContent = `${timeOf ? when(n) : `In ${n} ${n === 1 ? "step" : "steps"}`}: ${short(found.mean.at(-1))}; with ${widest} % between ${short(last.low.at(-1))} and ${short(last.high.at(-1))}.`;
    numbers.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, ...[timeOf ? "time" : "step", "mean", ...levels.map((level) => `${level} %`)].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...found.mean.map((mean, t) => h("tr", {}, h("th", { scope: "row" }, when(t + 1)), h("td", {}, short(mean)),
        ...levels.map((level) => h("td", {}, `${short(found.levels[level].low[t])} to ${short(found.levels[level].high[t])}`)))))));
  }

  const chosen = h("select", { onchange: () => (chosen.value === "-1" ? own.focus() : show(examples[Number(chosen.value)].values)) },
    ...examples.map((each, place) => h("option", { value: String(place) }, each.series ?? `Series ${place + 1}`)), h("option", { value: "-1" }, "Numbers of your own"));
  const reset = h("button", { disabled: true, onclick: () => { show(truth); announce("As it was"); } }, "As it was");
  const add = h("button", { onclick: () => {
    const next = plot.expected();
    if (next === null) return;
    values.push(next);
    plot.begin(values, HANDLES, timeOf, true);
    changed();
    announce(`A next value of ${short(next)}; drag it, or move it with the arrow keys`);
    plot.focusLast();
  } }, "Suppose a next value");
  const take = h("button", { class: "small", onclick: () => {
    const found = own.value.split(/[\s,;]+/).filter(Boolean).map((each) => (/^(nan|na|null|-)$/i.test(each) ? null : Number(each)));
    if (found.length < 2 || found.some((each) => each !== null && !Number.isFinite(each))) {
      fault.show({ title: "These are no numbers. ", words: "Give at least two, with commas, blanks or line ends between them; NA where one is missing." });
      return;
    }
    fault.clear();
    chosen.value = "-1";
    show(found);
  } }, "Forecast these");
  for (const each of [horizon, seed]) each.addEventListener("input", () => { first = null; marked = null; ask(); });

  const element = h("div", { class: "stack" },
    h("div", { class: "card stack" }, plot.element,
      h("div", { class: "row spread" }, h("div", { class: "hint" }, summary), h("div", { class: "row" }, add, reset)),
      h("p", { class: "hint" }, "Drag a point, or choose it with Tab and move it with the arrow keys: the forecast follows. The dashed line is the forecast before.")),
    fault.element,
    h("div", { class: "halves" },
      h("div", { class: "card stack" }, h("div", { class: "fields" }, field("Series", chosen), field("Steps ahead", horizon), field("Seed", seed)),
        h("div", { class: "tight" }, h("label", { class: "hint", for: "own" }, "Numbers of your own"), own, h("div", {}, take))),
      h("details", { class: "card tight" }, h("summary", {}, "The forecast in numbers"), numbers)));
  return {
    element,
    begin() {
      if (examples.length) show(examples[0].values);
      else {
        chosen.value = "-1";
        show(Array.from({ length: 48 }, (_, t) => Number((20 + 0.1 * t + 4 * Math.sin(t / 2) + ((t * 7919) % 13) / 9).toFixed(2))));
      }
    },
    close() { isClosed = true; ask.cancel(); session?.end(); },
  };
}
