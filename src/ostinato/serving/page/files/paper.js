// The text of a language model, a span a token, coloured by a unit; places in it can be chosen with mouse, finger and keys.

import { h, percent, signed, visible } from "./dom.js";

export function paper({ onchoose, onfork }) {
  const element = h("div", { class: "paper", tabindex: "0", role: "group", "aria-roledescription": "text by tokens",
    "aria-label": "The text. Arrow keys go through it, Enter forks, End leaves", "aria-describedby": "readout" });
  let pieces = [], spans = [], values = [], at = null;
  let isDue = false;

  function colour(span, value) {
    if (value === undefined || value === null) {
      span.style.removeProperty("--v");
      span.classList.remove("n");
      return;
    }
    span.style.setProperty("--v", Math.min(Math.abs(value), 1).toFixed(2));
    span.classList.toggle("n", value < 0);
  }

  function spanOf(piece, place) {
    const span = h("span", { "data-at": String(place) });
    // A line end is shown and then made, so that it has a colour too.
    const parts = piece.text.split("\n");
    parts.forEach((part, i) => {
      if (i) span.append(h("i", { class: "end", "aria-hidden": "true" }), "\n");
      span.append(part);
    });
    return span;
  }

  function draw() {
    isDue = false;
    const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
    while (spans.length > pieces.length) spans.pop().remove();
    const made = [];
    while (spans.length < pieces.length) {
      const place = spans.length;
      const span = spanOf(pieces[place], place);
      colour(span, values[place]);
      spans.push(span);
      made.push(span);
    }
    element.append(...made);
    element.classList.toggle("empty", pieces.length === 0);
    if (isAtEnd && made.length) element.scrollTop = element.scrollHeight;
  }

  function choose(place) {
    spans[at]?.classList.remove("at");
    at = place === null || !pieces.length ? null : Math.min(Math.max(place, 0), pieces.length - 1);
    const span = spans[at];
    span?.classList.add("at");
    if (span) {
      const inner = element.getBoundingClientRect(), outer = span.getBoundingClientRect();
      if (outer.top < inner.top) element.scrollTop += outer.top - inner.top - 20;
      else if (outer.bottom > inner.bottom) element.scrollTop += outer.bottom - inner.bottom + 20;
    }
    onchoose(at);
  }

  element.addEventListener("click", (event) => {
    if (!getSelection().isCollapsed) return; // somebody marks text to copy it
    const span = event.target.closest("[data-at]");
    choose(span ? Number(span.dataset.at) : null);
  });
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = at ?? pieces.length;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, PageUp: now - 40, PageDown: now + 40 }[event.key];
    if (to !== undefined) choose(to >= pieces.length ? null : to);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") choose(line(now, event.key === "ArrowUp" ? -1 : 1));
    else if (event.key === "End" || event.key === "Escape") choose(null);
    else if (event.key === "Enter" && at !== null) onfork(at);
    else return;
    event.preventDefault();
  });

  /** The place above or below. */
  function line(now, way) {
    const from = (spans[now] ?? spans.at(-1))?.getBoundingClientRect();
    if (!from) return null;
    let best = null;
    for (let place = now + way; place >= 0 && place < spans.length; place += way) {
      const box = spans[place].getBoundingClientRect();
      if (Math.abs(box.top - from.top) < from.height / 2) continue;
      if (best && Math.abs(box.top - best.top) > from.height / 2) break;
      const distance = Math.abs(box.left - from.left);
      if (!best || distance < best.distance) best = { place, distance, top: box.top };
    }
    return best ? best.place : way < 0 ? 0 : null;
  }

  return {
    element, choose,
    get at() { return at; },
    /** Another text, or more of the same one. */
    show(given, { isNew = false } = {}) {
      if (isNew) {
        spans.forEach((span) => span.remove());
        spans = [];
        values = [];
        at = null;
      }
      pieces = given;
      if (!isDue) requestAnimationFrame(draw);
      isDue = true;
    },
    /** The value of a piece, while it is written. */
    put(place, value) { values[place] = value; },
    /** Values for each character, or null for no colours. */
    colours(each) {
      draw();
      let end = 0;
      values = pieces.map((piece) => {
        end += piece.text.length;
        return each === null ? undefined : each[Math.max(end - 1, 0)];
      });
      spans.forEach((span, place) => colour(span, values[place]));
    },
    /** What is known of a place, in words. */
    tell(place) {
      const piece = pieces[place];
      const p = piece.top?.find((each) => each.token === piece.token)?.p;
      const parts = [`token ${place + 1} of ${pieces.length}, “${visible(piece.text)}”`];
      if (p !== undefined) parts.push(`expected with ${percent(p)}`);
      if (values[place] !== undefined) parts.push(`the unit is ${signed(values[place])}`);
      return parts.join(" · ");
    },
  };
}
