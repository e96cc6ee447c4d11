// A decision step by step: the probabilities of the classes as a stacked area, and those of one step as bars.

import { h, percent, s, visible } from "./dom.js";

const COLOURS = 10;

export function decision({ classes, noun = "token" }) {
  let steps = [], at = null, order = [];
  const verdict = h("div", { class: "verdict", "aria-live": "polite", "aria-atomic": "true" });
  const bars = h("div", { class: "bars" });
  const area = s("svg", { class: "area", preserveAspectRatio: "none", height: "180", tabindex: "0", role: "slider", "aria-label": `The decision after each ${noun}`, "aria-valuemin": "1" });
  const legend = h("ul", { class: "legend" });
  const text = h("p", { class: "steps-text" });
  const chart = h("div", { class: "tight", hidden: true }, h("h2", {}, `After each ${noun}`), area, text, legend);

  /** The classes that have a colour: those that are likely somewhere. */
  function ordered() {
    if (classes.length <= COLOURS) return classes;
    const most = (name) => Math.max(...steps.map((step) => step.probabilities[name] ?? 0));
    const likely = classes.map((name) => [most(name), name]).sort((a, b) => b[0] - a[0]).slice(0, COLOURS - 1);
    const kept = new Set(likely.map(([, name]) => name));
    return classes.filter((name) => kept.has(name));
  }

  const colour = (name) => `var(--k${order.includes(name) ? order.indexOf(name) : COLOURS - 1})`;
  const best = (step) => step.class ?? Object.entries(step.probabilities).reduce((a, b) => (b[1] > a[1] ? b : a))[0];

  function draw() {
    const T = steps.length;
    order = T ? ordered() : [];
    chart.hidden = T < 2;
    area.replaceChildren();
    area.setAttribute("viewBox", `0 0 ${Math.max(T - 1, 1)} 1`);
    let below = new Array(T).fill(0);
    const rest = order.length < classes.length;
    for (const name of T < 2 ? [] : [...order, ...(rest ? [null] : [])]) {
      const above = steps.map((step, t) => (name === null ? 1 : Math.min(below[t] + (step.probabilities[name] ?? 0), 1)));
      const forth = above.map((y, t) => `${t} ${(1 - y).toFixed(4)}`), back = below.map((y, t) => `${t} ${(1 - y).toFixed(4)}`).reverse();
      area.append(s("path", { d: `M${forth.join("L")}L${back.join("L")}Z`, "--bar": name === null ? "var(--k9)" : colour(name), fill: name === null ? "var(--k9)" : colour(name) }, s("title", {}, name ?? "others")));
      below = above;
    }
    legend.replaceChildren(...order.map((name) => h("li", { "--bar": colour(name) }, h("i"), name)), ...(rest ? [h("li", { "--bar": "var(--k9)" }, h("i"), "others")] : []));
    const isWords = steps.some((step) => step.text && step.text.length > 1 && !/\s/.test(steps.map((one) => one.text).join("")));
    text.hidden = !steps.some((step) => step.text);
    text.replaceChildren(...steps.flatMap((step, t) => {
      const span = h("span", { "--bar": colour(best(step)), "data-at": String(t) }, step.text || "");
      return isWords ? [span, " "] : [span];
    }));
    area.setAttribute("aria-valuemax", String(T));
    choose(null);
  }

  function choose(place) {
    at = place === null ? null : Math.min(Math.max(place, 0), steps.length - 1);
    const shown = at ?? steps.length - 1;
    area.querySelector(".cursor")?.remove();
    text.querySelector(".at")?.classList.remove("at");
    const step = steps[shown];
    if (!step) {
      verdict.replaceChildren(h("span", { class: "hint" }, "Nothing to decide yet."));
      bars.replaceChildren();
      return;
    }
    const name = best(step), p = step.probabilities[name];
    if (at !== null) {
      area.append(s("line", { class: "cursor", x1: at, x2: at, y1: 0, y2: 1 }));
      text.children[at] && text.querySelector(`[data-at="${at}"]`)?.classList.add("at");
    }
    const where = at === null ? "The decision" : `After ${noun} ${at + 1}${step.text ? `, “${visible(step.text)}”` : ""}`;
    area.setAttribute("aria-valuenow", String(shown + 1));
    area.setAttribute("aria-valuetext", `${where}: ${name}, ${percent(p)}`);
    verdict.replaceChildren(h("span", { class: "hint" }, where), h("strong", {}, name), h("span", { class: "hint number" }, percent(p)));
    const sorted = Object.entries(step.probabilities).sort((a, b) => b[1] - a[1]).slice(0, COLOURS);
    bars.replaceChildren(...sorted.map(([each, value], place_) =>
      h("div", { class: `bar${place_ ? "" : " first"}`, "--p": value.toFixed(4), "--bar": colour(each) }, h("span", {}, each), h("i"), h("b", {}, percent(value)))));
  }

  const placeOf = (event) => {
    const box = area.getBoundingClientRect();
    return Math.round(((event.clientX - box.left) / box.width) * (steps.length - 1));
  };
  area.addEventListener("pointermove", (event) => choose(placeOf(event)));
  area.addEventListener("pointerdown", (event) => choose(placeOf(event)));
  area.addEventListener("pointerleave", () => document.activeElement !== area && choose(null));
  area.addEventListener("blur", () => choose(null));
  area.addEventListener("keydown", (event) => {
    const now = at ?? steps.length - 1;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: steps.length - 1 }[event.key];
    if (to === undefined) return;
    choose(to);
    event.preventDefault();
  });
  text.addEventListener("pointermove", (event) => event.target.dataset.at && choose(Number(event.target.dataset.at)));
  text.addEventListener("pointerleave", () => choose(null));

  return {
    chart, verdict, bars,
    /** What was said after each step; the last is the decision. */
    show(found) {
      steps = found;
      draw();
    },
  };
}
