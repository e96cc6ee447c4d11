// A translator: the answer token by token, and where it looked in the source for each of them.

import { call, events, path } from "./api.js";
import { announce, faults, h, percent, s, visible } from "./dom.js";

const CELLS = [22, 34]; // pixels, the least and the most
const WIDE = 640; // pixels that columns fill where they can
const MOST = 120; // tokens a side of a matrix that is drawn

export function view(model, info) {
  const closing = new AbortController();
  const fault = faults();
  let cell = CELLS[0], source = [], written = [], at = null, working = null, pinned = null;
  const input = h("textarea", { id: "source", rows: "2", spellcheck: "false", placeholder: "A text of the kind that it has learnt, then Enter" });
  const button = h("button", { class: "main" }, "Translate");
  const sourceLine = h("p", { class: "source" });
  const answer = h("p", { class: "translation", role: "group", "aria-label": "The answer, a button a token" });
  const matrix = h("div", { class: "matrix", tabindex: "0", role: "group", "aria-label": "Attention: a row for each token written, a column for each token read" });
  const readout = h("p", { class: "hint number", "aria-live": "polite" });
  const others = h("div", { class: "bars" });
  const othersCard = h("div", { class: "card tight", hidden: true }, h("h2", {}, "The best answers of a beam"), others);
  const attentionCard = h("div", { class: "card tight", hidden: true }, h("h2", {}, "Where it looked"), readout, matrix);

  async function translate() {
    const text = input.value.trim();
    if (!text) return input.focus();
    working?.abort();
    const mine = (working = new AbortController());
    closing.signal.addEventListener("abort", () => mine.abort());
    [source, written, at, pinned] = [[], [], null, null];
    fault.clear();
    draw();
    othersCard.hidden = true;
    button.textContent = "Stop";
    announce("Translating");
    try {
      for await (const found of events(path(model, "generate"), { input: text }, { signal: mine.signal })) {
        if (found.source) source = found.source;
        else if (found.token !== undefined) written.push(found);
        draw(written.length - 1);
      }
      announce(written.map((each) => each.text).join(""));
      draw();
      await alternatives(text, mine);
    } catch (error) {
      fault.show(error);
    } finally {
      if (working === mine) {
        working = null;
        button.textContent = "Translate";
        draw();
      }
    }
  }

  async function alternatives(text, mine) {
    const { outputs } = await call("POST", path(model, "predict"), { input: text, options: { beam: 5, n_best: 3 } }, { signal: mine.signal });
    const best = outputs[0]?.n_best ?? outputs;
    const total = (each) => Math.exp(each.log_probability);
    others.replaceChildren(...best.map((each, place) => h("div", { class: `bar${place ? "" : " first"}`, "--p": Math.min(total(each), 1).toFixed(4) },
      h("span", { title: each.translation }, each.translation), h("i"), h("b", {}, percent(total(each))))));
    othersCard.hidden = false;
  }

  // what is seen

  function draw(place = null) {
    sourceLine.replaceChildren(...source.map((token, i) => h("span", { "data-source": String(i) }, token)));
    answer.replaceChildren(...written.map((each, i) => h("button", { "data-target": String(i), "aria-pressed": "false", "aria-label": visible(each.text),
      onclick: () => { pinned = pinned === i ? null : i; look(pinned); }, onmouseenter: () => look(i), onfocus: () => look(i),
      onmouseleave: () => look(pinned), onblur: () => look(pinned) }, each.text || "·")));
    const hasAttention = source.length > 0 && written.some((each) => each.attention);
    attentionCard.hidden = !hasAttention;
    if (hasAttention) drawMatrix();
    look(place);
  }

  function drawMatrix() {
    const [columns, rows] = [source.slice(0, MOST), written.slice(0, MOST)];
        const long = (tokens) => Math.min(Math.max(...tokens.map((token) => visible(token).length), 1), 12) * 8 + 14;
    const left = long(rows.map((each) => each.text)), room = Math.min(WIDE, (attentionCard.clientWidth || WIDE) - left - 60), longest = Math.max(...columns.map((token) => visible(token).length));
    const isUpright = longest <= 2, top = isUpright ? 26 : long(columns);
    cell = Math.min(Math.max(Math.floor(room / columns.length), CELLS[0]), CELLS[1]);
    const svg = s("svg", { width: left + columns.length * cell + 4, height: top + rows.length * cell + 4, role: "img", "aria-label": `Attention of ${rows.length} tokens over ${columns.length}` });
    svg.append(s("rect", { class: "ground", x: left, y: top, width: columns.length * cell, height: rows.length * cell, rx: 4 }));
    columns.forEach((token, i) => svg.append(isUpright
      ? s("text", { x: left + (i + 0.5) * cell, y: top - 8, "text-anchor": "middle", "data-column": String(i) }, visible(token))
      : s("text", { transform: `translate(${left + (i + 0.7) * cell} ${top - 6}) rotate(-60)`, "data-column": String(i) }, visible(token).slice(0, 12))));
    rows.forEach((each, t) => {
      svg.append(s("text", { x: left - 7, y: top + (t + 0.68) * cell, "text-anchor": "end", "data-row": String(t) }, visible(each.text).slice(0, 12)));
      each.attention?.slice(0, columns.length).forEach((weight, i) => {
        if (weight > 0.004) svg.append(s("rect", { class: "cell", x: left + i * cell + 1, y: top + t * cell + 1, width: cell - 2, height: cell - 2, rx: 3, opacity: Math.sqrt(weight).toFixed(3) }));
      });
    });
    svg.append(s("rect", { class: "line", x: left, y: top, width: columns.length * cell, height: cell, rx: 4, visibility: "hidden" }));
    const spot = (event) => {
      const box = svg.getBoundingClientRect();
      const [i, t] = [Math.floor((event.clientX - box.left - left) / cell), Math.floor((event.clientY - box.top - top) / cell)];
      return t >= 0 && t < rows.length ? [t, i >= 0 && i < columns.length ? i : null] : [null, null];
    };
    svg.addEventListener("pointermove", (event) => look(...spot(event)));
    svg.addEventListener("pointerdown", (event) => look(...spot(event)));
    svg.addEventListener("pointerleave", () => look(pinned));
    matrix.replaceChildren(svg);
  }

  /** Shows where it looked when it wrote one token. */
  function look(place, column = null) {
    at = place !== null && written[place] ? place : null;
    const weights = at === null ? null : written[at].attention;
    const most = weights ? Math.max(...weights) : 1;
    sourceLine.querySelectorAll("[data-source]").forEach((span, i) => span.style.setProperty("--v", weights ? (weights[i] / most).toFixed(3) : "0"));
    answer.querySelectorAll("button").forEach((each, t) => each.setAttribute("aria-pressed", String(t === at)));
    const top = weights ? weights.indexOf(most) : null;
    for (const text of matrix.querySelectorAll("[data-column]")) text.classList.toggle("on", Number(text.dataset.column) === (column ?? top));
    for (const text of matrix.querySelectorAll("[data-row]")) text.classList.toggle("on", Number(text.dataset.row) === at);
    const line = matrix.querySelector("rect.line"), ground = matrix.querySelector("rect.ground");
    if (line) {
      line.setAttribute("visibility", at === null ? "hidden" : "visible");
      if (at !== null) line.setAttribute("y", Number(ground.getAttribute("y")) + at * cell);
    }
    if (at === null || !weights) {
      readout.textContent = "Go over a token of the answer, or a row, to see where it looked.";
      return;
    }
    const where = column ?? top;
    readout.textContent = `“${visible(written[at].text)}” looked at “${visible(source[where] ?? "")}” with ${percent(weights[where])}`;
  }

  matrix.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !written.length) return;
    pinned = Math.min(Math.max((at ?? -1) + step, 0), written.length - 1);
    look(pinned);
    event.preventDefault();
  });
  button.addEventListener("click", () => (working ? working.abort() : translate()));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (working) working.abort();
    translate();
  });
  draw();

  const element = h("div", { class: "stack" },
    h("div", { class: "halves" },
      h("div", { class: "card tight" }, h("label", { class: "hint", for: "source" }, "What is read"), input, h("div", { class: "row" }, button)),
      h("div", { class: "card tight" }, h("h2", {}, "What it writes"), answer, sourceLine)),
    fault.element, attentionCard, othersCard,
    info.attention === false ? h("p", { class: "hint" }, "This model has no attention: all that it knows of the source is one state.") : null);
  return {
    element,
    begin() {
      if (!info.prompt) return;
      input.value = info.prompt;
      translate();
    },
    close() { closing.abort(); },
  };
}
