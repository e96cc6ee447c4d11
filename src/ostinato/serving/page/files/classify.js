// A classifier: the decision step by step while one types, or of a picture row by row.

import { call, path } from "./api.js";
import { decision } from "./decision.js";
import { faults, h, latest } from "./dom.js";
import { pictureInput } from "./picture.js";
import { view as ofRecordings } from "./recording.js";
import { Session } from "./session.js";
import { TypedReader } from "./typed.js";

const PREFIXES = 48; // of a text that is read anew for each step, where the model has no sessions

const VIEWS = { image: ofPictures, recording: ofRecordings };
export const view = (model, info) => (VIEWS[info.input] ?? ofTexts)(model, info);

function ofTexts(model, info) {
  const fault = faults();
  const isGrowing = !["char", "byte"].includes(info.tokens);
  const shown = decision({ classes: info.classes ?? [], noun: isGrowing ? "word" : "character" });
  const reader = info.sessions ? new TypedReader(model, isGrowing) : null;
  const input = h("textarea", { id: "typed", rows: "4", spellcheck: "false", placeholder: "Type here" });
  let isClosed = false;

  async function prefixes(text) {
    const ends = [...text.matchAll(isGrowing ? /\S+/g : /[^]/gu)].map((match) => match.index + match[0].length);
    const kept = ends.slice(-PREFIXES);
    if (!kept.length) return [];
    const { outputs } = await call("POST", path(model, "predict"), { inputs: kept.map((end) => text.slice(0, end)) });
    const from = ends.length - kept.length;
    return outputs.map((each, place) => ({ ...each, text: text.slice(place + from ? ends[place + from - 1] : 0, kept[place]) }));
  }

  const decide = latest(async (text) => {
    if (isClosed) return;
    try {
      const steps = reader ? await reader.read(text) : await prefixes(text);
      if (isClosed) return;
      fault.clear();
      shown.show(steps);
    } catch (error) {
      fault.show(error);
    }
  }, info.sessions ? 0 : 120);
  input.addEventListener("input", () => decide(input.value));
  shown.show([]);

  const element = h("div", { class: "two" },
    h("div", { class: "stack" },
      h("div", { class: "card tight" }, h("label", { class: "hint", for: "typed" }, info.sessions
        ? "A text. The session reads each letter once, as you type it."
        : "A text, decided as you type."), input),
      fault.element,
      h("div", { class: "card tight" }, shown.chart, h("p", { class: "hint" }, "Go over the chart, or through it with the arrow keys, to see when the decision fell."))),
    h("div", { class: "card stack" }, shown.verdict, shown.bars));
  return {
    element,
    begin() {
      if (!info.prompt) return;
      input.value = info.prompt;
      decide(input.value);
    },
    close() { isClosed = true; decide.cancel(); reader?.end(); },
  };
}

function ofPictures(model, info) {
  const fault = faults();
  const shown = decision({ classes: info.classes ?? [], noun: "row" });
  let isClosed = false, hasRows = info.sessions;

  async function rows(image) {
    const session = await Session.open(model, { image, all: true });
    session.end();
    return session.view.said ?? [];
  }

  const decide = latest(async (image) => {
    if (isClosed) return;
    if (image === null) return shown.show([]);
    try {
      let steps = null;
      if (hasRows) {
        try {
          steps = await rows(image);
        } catch (error) {
          if (![400, 404, 422].includes(error.status)) throw error;
          hasRows = false; // the model reads pictures as a whole only
        }
      }
      steps ??= (await call("POST", path(model, "predict"), { input: image })).outputs;
      if (isClosed) return;
      fault.clear();
      shown.show(steps);
    } catch (error) {
      fault.show(error);
    }
  }, 60);
  const picture = pictureInput({ shape: info.image, isDark: info.dark_ink ?? true, fits: true, onpicture: (found) => decide(found && found.base64) });
  shown.show([]);
  const element = h("div", { class: "two" },
    h("div", { class: "stack" }, h("div", { class: "card" }, picture.element), fault.element, h("div", { class: "card tight", hidden: !hasRows }, shown.chart,
      h("p", { class: "hint" }, "The model reads a picture row by row, from the top. Draw, and see after which row it knows."))),
    h("div", { class: "card stack" }, shown.verdict, shown.bars));
  return { element, close() { isClosed = true; decide.cancel(); picture.close(); } };
}
