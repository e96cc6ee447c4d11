// A language model: text as it is written, the unit behind every token, what may come next, and branches.

import { Branch, TOP } from "./branch.js";
import { announce, faults, field, h, latest, percent, plural, slider, visible } from "./dom.js";
import { paper } from "./paper.js";
import { isLost } from "./session.js";
import { readUnits, unitPicker } from "./units.js";

const LONGEST = 6000; // characters that the units are read of

export function view(model, info) {
  const closing = new AbortController();
  const fault = faults();
  let branches = [], shown = null, writing = null, names = 0, busy = false;

  const sheet = paper({ onchoose: () => drawPlace(), onfork: (at) => forkAt(at) });
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Branches of the text" });
  const readout = h("p", { class: "readout number", id: "readout", "aria-live": "polite" });
  const forkButton = h("button", { class: "small", hidden: true, onclick: () => forkAt(sheet.at) }, "Fork here");
  const words = h("textarea", { rows: "2", id: "words", spellcheck: "false", autocapitalize: "off", placeholder: "A beginning, or nothing; then Write, or Ctrl and Enter" });
  words.value = info.prompt ?? "";
  const writeButton = h("button", { class: "main", onclick: () => (writing ? stop() : write()) }, "Write");
  const readButton = h("button", { onclick: () => read() }, "Only read it");
  const pace = h("span", { class: "hint number" });
  const bars = h("div", { class: "bars" });
  const barsTitle = h("h2", {});
  const scale = h("p", { class: "scale number", "aria-hidden": "true" }, "−1", h("i"), "+1");
  const picker = unitPicker(info.units ?? [], () => colour());

  const temperature = slider("Temperature", { min: 0, max: 2, step: 0.05, value: 0.8, shown: (v) => (v === 0 ? "0, the likeliest" : v.toFixed(2)) });
  const topP = slider("Top-p", { min: 0.05, max: 1, step: 0.05, value: 1, shown: (v) => (v >= 1 ? "1, all tokens" : v.toFixed(2)) });
  const seed = h("input", { type: "number", step: "1", min: "0", value: "1" });
  const length = h("select", {}, ...[100, 300, 1000, 3000].map((n) => h("option", { value: String(n), selected: n === 300 }, String(n))));

  // writing

  const settings = () => ({
    temperature: temperature.value,
    ...(topP.value < 1 ? { top_p: topP.value } : {}),
    seed: Math.max(0, Math.trunc(Number(seed.value)) || 0),
    max_tokens: Number(length.value),
    ...(picker.unit === null ? {} : { unit: picker.name }),
  });

  /** Does it; where the session has ended meanwhile, once more with another one. */
  async function safely(branch, work) {
    if (busy) return false;
    busy = true;
    fault.clear();
    drawControls();
    try {
      for (let attempt = 0; ; attempt++) {
        const before = branch.pieces.length;
        try {
          await work();
          return true;
        } catch (error) {
          if (!isLost(error) || attempt || branch.pieces.length !== before) throw error;
          branch.isExact = false;
          branch.marks.clear();
          branch.session = null;
        }
      }
    } catch (error) {
      fault.show(error);
      return false;
    } finally {
      busy = false;
      drawControls();
    }
  }

  async function readWords(branch) {
    const given = words.value;
    if (!given) return;
    await branch.read(given);
    words.value = "";
    sheet.show(branch.pieces);
  }

  async function read() {
    const branch = shown;
    if (!words.value) return;
    if (await safely(branch, () => readWords(branch))) {
      after(branch);
      announce(`${plural(branch.pieces.length, "token")} read`);
    }
    words.focus();
  }

  async function write() {
    const branch = shown;
    const stopping = new AbortController();
    writing = stopping;
    sheet.choose(null);
    announce("Writing");
    const began = performance.now();
    let written = 0;
    const timed = () => {
      const seconds = (performance.now() - began) / 1000;
      pace.textContent = `${plural(written, "token")}, ${Math.round(written / Math.max(seconds, 0.001)).toLocaleString("en")} a second`;
    };
    const tick = setInterval(timed, 250);
    await safely(branch, async () => {
      await readWords(branch);
      await branch.write(settings(), (piece) => {
        written++;
        if (branch !== shown) return;
        if (piece.unit !== undefined) sheet.put(branch.pieces.length - 1, piece.unit);
        sheet.show(branch.pieces);
      }, stopping.signal);
    });
    clearInterval(tick);
    if (written) timed();
    writing = null;
    if (branch === shown) after(branch);
    drawControls();
    announce(`${plural(written, "token")} written: ${branch.text.slice(-200)}`);
    if (stopping.signal.aborted && !closing.signal.aborted) await safely(branch, () => branch.settle()).then(() => drawPlace());
  }

  function stop() { writing?.abort(); }

  // what may come next

  function drawPlace() {
    const at = sheet.at;
    forkButton.hidden = at === null;
    readout.textContent = at === null
      ? (shown.pieces.length ? `${plural(shown.pieces.length, "token")}. Choose a place in the text to see what could have stood there, or to fork.` : "")
      : sheet.tell(at);
    drawBars(at === null ? shown.next : shown.pieces[at].top, at);
  }

  function drawBars(found, at) {
    barsTitle.textContent = at === null ? "What comes next" : `In place of “${visible(shown.pieces[at].text)}”`;
    if (!found) {
      const why = writing ? "Told when the text stands still." : shown.pieces.length ? "Not known of this place." : "Write or read something first.";
      bars.replaceChildren(h("p", { class: "hint" }, why));
      return;
    }
    const most = Math.max(...found.map((each) => each.p));
    bars.replaceChildren(...found.slice(0, TOP).map((each) =>
      h("button", { class: `bar${each.p === most ? " first" : ""}`, "--p": each.p.toFixed(4), disabled: busy,
        "aria-label": `${at === null ? "Go on with" : "A branch that goes on with"} ${visible(each.text)}, ${percent(each.p)}`,
        onclick: () => (at === null ? take(each) : forkAt(at, each)) },
        h("span", { class: "mono" }, visible(each.text)), h("i"), h("b", {}, percent(each.p)))));
  }

  async function take(token) {
    const branch = shown;
    if (await safely(branch, () => branch.take(token))) after(branch);
    bars.querySelector("button")?.focus();
  }

  // branches

  function add(branch, name) {
    branch.name = name;
    branches.push(branch);
    select(branch);
  }

  async function forkAt(at, token = null) {
    if (at === null) return;
    const from = shown;
    let made = null;
    const done = await safely(from, async () => {
      made = await from.fork(at);
      if (token) await made.take(token);
    });
    if (!done) return;
    const end = visible(made.text.slice(-12)).replaceAll("␣", " ").trim();
    add(made, `${++names}: ${end ? `…${end}` : "the start"}`);
    after(made);
    announce(`Branch ${names} goes on after ${visible(made.text.slice(-20))}`);
    words.focus({ preventScroll: true });
  }

  function select(branch) {
    if (writing) stop();
    shown = branch;
    sheet.show(branch.pieces, { isNew: true });
    drawTabs();
    sheet.choose(null);
    colour();
  }

  function close(branch) {
    branch.end();
    const place = branches.indexOf(branch);
    branches.splice(place, 1);
    if (!branches.length) add(new Branch(model, info.sessions), `${++names}`);
    else if (branch === shown) select(branches[Math.max(place - 1, 0)]);
    else drawTabs();
    tabs.querySelector("[aria-selected=true]")?.focus();
  }

  function drawTabs() {
    tabs.hidden = branches.length === 1;
    tabs.replaceChildren(...branches.map((branch) => {
      const isShown = branch === shown;
      return h("span", { class: "tab", role: "presentation" },
        h("button", { role: "tab", class: "small", "aria-selected": String(isShown), tabindex: isShown ? "0" : "-1", "aria-controls": "sheet",
          onclick: () => select(branch),
          onkeydown: (event) => {
            const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
            if (event.key === "Delete") close(branch);
            else if (step) {
              select(branches[(branches.indexOf(branch) + step + branches.length) % branches.length]);
              tabs.querySelector("[aria-selected=true]").focus();
            }
          } }, branch.name),
        h("button", { class: "plain small", tabindex: "-1", "aria-label": `Close branch ${branch.name}`, title: "Close (Delete)", onclick: () => close(branch) }, "×"));
    }));
  }

  // colours

  let read_ = { text: null, units: null }, patience = 10;
  const readAgain = latest(async () => {
    const text = shown.text.slice(-LONGEST);
    if (!text || writing || closing.signal.aborted) return;
    try {
      const units = await readUnits(model, text, closing.signal);
      if (text !== shown.text.slice(-LONGEST)) return;
      read_ = { text, units };
      picker.offer(units.best);
      colour();
      // A server that has just begun is still looking which units mean something.
      if (!units.best.length && patience-- > 0) setTimeout(readAgain, 3000);
    } catch (error) {
      if (error.name !== "AbortError") fault.show(error);
    }
  }, 120);

  function colour() {
    const text = shown.text;
    scale.hidden = picker.unit === null;
    if (picker.unit === null) sheet.colours(null);
    else if (read_.text !== null && text.endsWith(read_.text) && text.slice(-LONGEST) === read_.text) {
      const values = read_.units.of(picker.unit);
      sheet.colours([...new Array(text.length - values.length).fill(undefined), ...values]);
    } else if (!writing) readAgain();
    if (sheet.at !== null) drawPlace();
  }

  function after(branch) {
    if (branch !== shown) return;
    sheet.show(branch.pieces);
    drawPlace();
    if (info.units?.length) readAgain();
  }

  function drawControls() {
    writeButton.textContent = writing ? "Stop" : "Write";
    writeButton.disabled = busy && !writing;
    readButton.disabled = busy;
    forkButton.disabled = busy;
    for (const button of bars.querySelectorAll("button")) button.disabled = busy;
  }

  const keys = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !writing) write();
    else if (event.key === "Escape" && writing) stop();
    else return;
    event.preventDefault();
  };

  sheet.element.id = "sheet";
  const element = h("div", { class: "two", onkeydown: keys },
    h("div", { class: "stack" },
      h("div", { class: "card tight sheet" }, tabs, sheet.element, scale,
        h("div", { class: "row spread" }, readout, forkButton)),
      fault.element,
      h("div", { class: "card tight" },
        h("label", { class: "hint", for: "words" }, "Words of your own, that it goes on from"), words,
        h("div", { class: "row" }, writeButton, readButton, pace)),
      h("details", { class: "card", open: matchMedia("(min-width: 60rem)").matches }, h("summary", {}, "How it writes"),
        h("div", { class: "fields" }, temperature.element, topP.element, field("Seed", seed), field("Tokens", length)))),
    h("div", { class: "card divided side" },
      h("section", { class: "tight next", "aria-labelledby": "bars-title" }, Object.assign(barsTitle, { id: "bars-title" }), bars),
      info.units?.length ? picker.element : null));
  add(new Branch(model, info.sessions), `${++names}`);
  drawControls();
  return {
    element,
    close() {
      closing.abort();
      stop();
      for (const branch of branches) branch.end();
    },
  };
}
