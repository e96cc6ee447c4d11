// A captioner: a picture, the words about it, and where it looked for each of them.

import { events, path } from "./api.js";
import { announce, faults, h, latest, percent, visible } from "./dom.js";
import { pictureInput } from "./picture.js";

export function view(model, info) {
  const closing = new AbortController();
  const fault = faults();
  let picture = null, grid = null, written = [], pinned = null, working = null;
  const words = h("div", { class: "film", role: "group", "aria-label": "The caption, a button a token" });
  const large = h("div", { class: "heat" });
  const caption = h("p", { class: "translation" });
  const readout = h("p", { class: "hint number", "aria-live": "polite" });
  const result = h("div", { class: "card stack", hidden: true }, h("div", { class: "tight" }, h("h2", {}, "What it writes"), caption),
    h("div", { class: "tight", id: "looked" }, h("h2", {}, "Where it looked"), large, readout, words));
  const empty = h("p", { class: "card quiet" }, "The caption comes here.");

  /** The picture, and over it a light where it looked. */
  function heat(weights) {
    const under = h("canvas", { class: "under", "aria-hidden": "true" });
    Object.assign(under, { width: picture.canvas.width, height: picture.canvas.height });
    under.getContext("2d").drawImage(picture.canvas, 0, 0);
    if (!weights || !grid) return [under];
    const [rows, columns] = grid, most = Math.max(...weights, 1e-9);
    const over = h("canvas", { "aria-hidden": "true" });
    Object.assign(over, { width: columns, height: rows });
    const context = over.getContext("2d"), image = context.createImageData(columns, rows);
    weights.slice(0, rows * columns).forEach((weight, i) => {
      const v = weight / most; // from a blue night to the light of a lamp
      image.data.set([24 + 231 * v, 16 + 164 * v, 72 - 24 * v, 150 + 20 * v], i * 4);
    });
    context.putImageData(image, 0, 0);
    return [under, over];
  }

  function draw(place = null) {
    result.hidden = picture === null;
    empty.hidden = picture !== null;
    if (!picture) return;
    const shape = `${picture.canvas.width} / ${picture.canvas.height}`;
    caption.textContent = written.map((each) => each.text).join("");
    large.style.setProperty("--shape", shape);
    const hasAttention = written.some((each) => each.attention);
    words.replaceChildren(...written.map((each, t) => h("button", { "aria-pressed": String(t === pinned),
      "aria-label": `${visible(each.text)}${each.logprob === undefined ? "" : `, ${percent(Math.exp(each.logprob))}`}`,
      onclick: () => { pinned = pinned === t ? null : t; look(pinned); }, onmouseenter: () => look(t), onfocus: () => look(t), onmouseleave: () => look(pinned) },
      hasAttention ? h("div", { class: "heat", "--shape": shape }, ...heat(each.attention)) : null, h("span", {}, visible(each.text)))));
    look(place);
  }

  function look(place) {
    const each = place === null ? null : written[place];
    large.replaceChildren(...heat(each?.attention));
    [...words.children].forEach((button, t) => button.setAttribute("aria-pressed", String(t === place)));
    if (!each) {
      readout.textContent = written.length ? "Go over a token to see where it looked." : "";
      return;
    }
    let where = "";
    if (each.attention && grid) {
      const most = each.attention.indexOf(Math.max(...each.attention));
      where = ` looked most at row ${Math.floor(most / grid[1]) + 1}, column ${(most % grid[1]) + 1} of ${grid[0]} × ${grid[1]}`;
    }
    readout.textContent = `“${visible(each.text)}”${where}${each.logprob === undefined ? "" : ` · expected with ${percent(Math.exp(each.logprob))}`}`;
  }

  const describe = latest(async (given) => {
    if (closing.signal.aborted) return;
    [picture, written, grid, pinned] = [given, [], null, null];
    draw();
    if (!given) return;
    working = new AbortController();
    closing.signal.addEventListener("abort", () => working?.abort());
    try {
      fault.clear();
      for await (const found of events(path(model, "generate"), { input: given.base64 }, { signal: working.signal })) {
        if (found.grid) grid = found.grid;
        else if (found.token !== undefined) {
          written.push(found);
          draw(written.length - 1);
        }
      }
      pinned = written.length ? 0 : null;
      draw(pinned);
      announce(written.length ? `It says: ${caption.textContent}` : "It says nothing.");
    } catch (error) {
      fault.show(error);
    }
  }, 80);
  const input = pictureInput({ shape: info.image, isDark: info.dark_ink ?? true, onpicture: (given) => { working?.abort(); describe(given); } });
  const element = h("div", { class: "halves" }, h("div", { class: "stack" }, h("div", { class: "card" }, input.element), fault.element), h("div", {}, empty, result));
  draw();
  return { element, close() { closing.abort(); describe.cancel(); input.close(); } };
}
