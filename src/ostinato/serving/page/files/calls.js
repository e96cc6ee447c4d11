// What the page has just asked the server, as lines for a shell.

import { announce, h } from "./dom.js";
import { hasToken, log } from "./api.js";

const KEPT = 6;
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const isLong = (value) => typeof value === "string" && value.length > 400 && /^[A-Za-z0-9+/=]+$/.test(value);

/** A line for a shell; a picture in it is read from a file. */
export function lineOf({ method, path, body }) {
  const words = [`curl${path.endsWith("/generate") ? " -N" : ""}${method === "GET" ? "" : ` -X ${method}`} ${quoted(new URL(path, document.baseURI).href)}`];
  if (hasToken()) words.push(`-H "Authorization: Bearer $OSTINATO_TOKEN"`);
  if (body !== undefined) {
    words.push("-H 'Content-Type: application/json'");
    let hasPicture = false;
    const json = JSON.stringify(body, (_, value) => (isLong(value) ? ((hasPicture = true), "\u0000") : value));
    words.push(`-d ${hasPicture ? quoted(json).replace("\\u0000", `'"$(base64 < picture.png | tr -d '\\n')"'`) : quoted(json)}`);
  }
  return words.join(" \\\n  ");
}

export function callPanel() {
  const calls = [];
  let at = null; // the one that is looked at; null for the newest
  const list = h("ol", { "aria-label": "The last requests, the newest first" });
  const line = h("pre", { tabindex: "0", "aria-label": "The request for a shell" });
  const times = h("span", { class: "times number" });
  const copy = h("button", { class: "small", onclick: async () => {
    try {
      await navigator.clipboard.writeText(line.textContent);
      announce("Copied");
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(line);
      copy.textContent = "Selected: copy it with your keys";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  } }, "Copy");
  const details = h("details", { hidden: true }, h("summary", {}, "How to call this", times), list, line, h("div", { class: "row" }, copy));

  let isDue = false;
  function draw() {
    isDue = false;
    const one = calls.includes(at) ? at : calls[0];
    if (!one) return;
    details.hidden = false;
    times.textContent = `${calls[0].method} ${calls[0].path.replace(/s_[\w-]+/, "…")}, ${calls[0].ms.toFixed(calls[0].ms < 10 ? 1 : 0)} ms`;
    if (!details.open) return;
    const hadFocus = list.contains(document.activeElement);
    list.replaceChildren(...calls.map((each) =>
      h("li", {}, h("button", { "aria-pressed": String(each === one), onclick: () => { at = each; draw(); } },
        h("code", {}, `${each.method} ${each.path}`), h("span", { class: "number" }, `${each.status} · ${each.ms.toFixed(1)} ms`)))));
    line.textContent = lineOf(one);
    if (hadFocus) list.querySelector("[aria-pressed=true]")?.focus();
  }
  details.addEventListener("toggle", draw);
  log.addEventListener("call", ({ detail }) => {
    calls.unshift(detail);
    calls.length = Math.min(calls.length, KEPT);
    if (!isDue) requestAnimationFrame(draw);
    isDue = true;
  });
  return details;
}
