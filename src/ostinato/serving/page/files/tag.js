// A tagger: the text in the colours of its tags, while one types.

import { call, path } from "./api.js";
import { faults, h, latest, percent } from "./dom.js";
import { view as ofRecordings } from "./recording.js";
import { TypedReader } from "./typed.js";

// Source code as editors show it; other tags take the colours in turn.
const KNOWN = { keyword: ["--k3", "strong"], string: ["--k2"], comment: ["--k9", "lean"], number: ["--k0"], operator: ["--k1"], name: [null], space: [null], O: [null] };

export const view = (model, info) => (info.input === "recording" ? ofRecordings : ofTexts)(model, info);

function ofTexts(model, info) {
  const fault = faults();
  const tags = info.tags ?? [];
  const isSource = info.input !== "words";
  const reader = info.sessions ? new TypedReader(model, !isSource) : null;
  const others = tags.filter((tag) => !(tag in KNOWN));
  const styleOf = (tag) => KNOWN[tag] ?? [`--k${others.indexOf(tag) % 10}`];
  const input = h("textarea", { id: "tagged", spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "soft", "aria-describedby": "tag-at" });
  const behind = h("pre", { "aria-hidden": "true" });
  const editor = h("div", { class: "editor plain" }, behind, input);
  const words = h("div", { class: "words", "aria-label": "The words and their tags", role: "list" });
  const legend = h("ul", { class: "legend" });
  const at = h("p", { class: "hint number", id: "tag-at", "aria-live": "polite" });
  let isClosed = false, runs = [];

  const paint = (tag) => {
    const [colour, style] = styleOf(tag);
    return { class: `tagged${style ? ` ${style}` : ""}`, "--bar": colour ? `var(${colour})` : null };
  };

  /** Runs of one tag, [text, tag, least probability]. */
  function runsOf(pieces) {
    const found = [];
    for (const { text, tag, p } of pieces) {
      const last = found.at(-1);
      if (isSource && last && last.tag === tag) {
        last.text += text;
        last.p = Math.min(last.p ?? 1, p ?? 1);
      } else found.push({ text, tag, p });
    }
    return found;
  }

  function draw(pieces, text) {
    runs = runsOf(pieces);
    editor.classList.toggle("plain", !isSource);
    if (isSource) {
      const isWhole = pieces.map((piece) => piece.text).join("") === text;
      editor.classList.toggle("plain", !isWhole);
      behind.replaceChildren(...runs.map((run) => h("span", paint(run.tag), run.text)), "\n");
    } else {
      words.replaceChildren(...runs.filter((run) => run.text.trim()).map((run) =>
        h("span", { role: "listitem", ...paint(run.tag), class: "", title: run.p === undefined ? null : percent(run.p) }, run.text, h("small", {}, run.tag))));
    }
    const count = new Map();
    for (const { tag } of pieces) count.set(tag, (count.get(tag) ?? 0) + 1);
    legend.replaceChildren(...[...count].sort((a, b) => b[1] - a[1]).map(([tag, n]) =>
      h("li", { "--bar": styleOf(tag)[0] ? `var(${styleOf(tag)[0]})` : null }, h("i"), `${tag} `, h("span", { class: "hint number" }, String(n)))));
    where();
  }

  function where() {
    let end = 0;
    if (!isSource) return;
    for (const run of runs) {
      end += run.text.length;
      if (end >= input.selectionStart && input.selectionStart > 0) {
        at.textContent = `Before the cursor: ${run.tag}`;
        return;
      }
    }
    at.textContent = "";
  }

  async function whole(text) {
    if (!text.trim()) return [];
    const { outputs: [found] } = await call("POST", path(model, "predict"), { input: text });
    if (found.spans) return found.spans.map(([first, last, tag]) => ({ text: text.slice(first, last), tag }));
    return found.words.map((word, place) => ({ text: word, tag: found.tags[place], p: found.probabilities?.[place] }));
  }

  const tagIt = latest(async (text) => {
    if (isClosed) return;
    try {
      const pieces = reader ? await reader.read(text) : await whole(text);
      if (isClosed) return;
      fault.clear();
      if (input.value === text || !isSource) draw(pieces, text);
    } catch (error) {
      fault.show(error);
    }
  }, info.sessions ? 0 : 150);

  function typed() {
    // Until the answer is there, what is known of the text so far, and the rest without colours.
    const text = input.value;
    const known = runs.map((run) => run.text).join("");
    if (isSource && text.startsWith(known)) behind.replaceChildren(...runs.map((run) => h("span", paint(run.tag), run.text)), `${text.slice(known.length)}\n`);
    else editor.classList.add("plain");
    tagIt(text);
  }
  input.addEventListener("input", typed);
  for (const event of ["keyup", "click"]) input.addEventListener(event, where);

  const element = h("div", { class: "two" },
    h("div", { class: "stack" },
      h("div", { class: "card tight" },
        h("label", { class: "hint", for: "tagged" }, info.sessions ? "Type. The session reads each letter once, and what you take back is rewound." : "Type; the text is read in both directions each time."),
        editor, at),
      fault.element,
      isSource ? null : h("div", { class: "card tight" }, h("h2", {}, "Tags"), words)),
    h("div", { class: "card tight" }, h("h2", {}, "Which colour is which"), legend));
  return {
    element,
    begin() {
      input.value = info.prompt ?? (isSource ? "def greet(name):\n    # to whom it may concern\n    return \"hello, \" + name * 2\n" : "Ada Lovelace lives in London .");
      typed();
    },
    close() { isClosed = true; tagIt.cancel(); reader?.end(); },
  };
}
