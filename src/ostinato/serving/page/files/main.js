// The page: which models there are, the view of one, its colours, tokens, and how to call what was just done.

import { call, path, whenAsked } from "./api.js";
import { callPanel } from "./calls.js";
import { announce, h, s, faults } from "./dom.js";

const TASKS = {
  lm: ["writes text", () => import("./language.js")],
  classify: ["says which class", () => import("./classify.js")],
  tag: ["gives every step a tag", () => import("./tag.js")],
  translate: ["writes a text for a text", () => import("./translate.js")],
  caption: ["writes a text for a picture", () => import("./caption.js")],
  forecast: ["says how a series goes on", () => import("./forecast.js")],
};

const main = document.getElementById("view");
const nav = document.getElementById("models");
let models = [];
let shown = null;

// colours

const THEMES = [
  ["auto", "As the system has them", "M12 3a9 9 0 1 0 0 18z M12 3a9 9 0 0 1 0 18"],
  ["light", "Light", "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8z M12 2v2 M12 20v2 M2 12h2 M20 12h2 M5 5l1.4 1.4 M17.6 17.6L19 19 M5 19l1.4-1.4 M17.6 6.4L19 5"],
  ["dark", "Dark", "M20 14.5A8.5 8.5 0 1 1 9.5 4a6.8 6.8 0 0 0 10.5 10.5z"],
];

function themes() {
  const now = document.documentElement.dataset.theme ?? "auto";
  document.getElementById("theme").append(...THEMES.map(([name, label, drawn]) =>
    h("label", { title: label },
      h("input", { type: "radio", name: "theme", value: name, checked: name === now, "aria-label": label, onchange: () => choose(name) }),
      s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: drawn })))));
}

function choose(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try {
    if (name === "auto") localStorage.removeItem("ostinato.theme");
    else localStorage.setItem("ostinato.theme", name);
  } catch { /* a browser that keeps nothing */ }
}

// tokens

function askForToken(isWrong) {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "token-hint" });
    const dialog = h("dialog", { "aria-labelledby": "token-title" },
      h("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); done(input.value.trim() || null); } },
        h("h2", { id: "token-title" }, "This server asks for a token"),
        isWrong && h("p", { class: "fault", role: "alert" }, "The server does not know that token."),
        h("div", { class: "field" }, h("label", { for: "token" }, "Token"), input),
        h("p", { class: "hint", id: "token-hint" }, "Whoever runs the server has them in a file. It is kept in this tab until you close it, and nowhere else."),
        h("div", { class: "row" }, h("button", { class: "main" }, "Go on"), h("button", { type: "button", class: "plain", onclick: () => done(null) }, "Without it"))));
    let settled = false;
    function done(value) {
      if (settled) return;
      settled = true;
      dialog.close();
      dialog.remove();
      resolve(value);
    }
    dialog.addEventListener("cancel", () => done(null));
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

// models

function infoOf(model) { return model.ostinato ?? {}; }

async function show(id, isFirst = false) {
  const model = models.find((each) => each.id === id) ?? models[0];
  if (shown?.model === model) return;
  shown?.view?.close?.();
  const here = (shown = { model, view: null });
  for (const link of nav.children) {
    if (link.dataset.model === model.id) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  nav.querySelector("[aria-current]")?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  document.title = `${model.id} · Ostinato`;
  const info = infoOf(model);
  const [does, load] = TASKS[info.task] ?? ["does a task of its own", null];
  const facts = [`It ${does}`, info.parameters ? `${info.parameters.toLocaleString("en")} weights` : null,
    info.sessions ? "sessions keep its state" : null].filter(Boolean).join(" · ");
  const title = h("div", { class: "title" }, h("h1", {}, model.id), h("p", {}, facts));
  if (!load) {
    main.replaceChildren(title, h("p", { class: "notice" }, `The page has no view for the task “${info.task}”. It is served all the same: POST v1/${model.id}/predict.`));
    return;
  }
  try {
    const { view } = await load();
    if (shown !== here) return;
    here.view = view(model.id, info);
    if (!info.sessions && info.why_no_sessions) title.append(h("p", { class: "hint" }, `No sessions: ${info.why_no_sessions}.`));
    main.replaceChildren(title, here.view.element);
    here.view.begin?.();
    if (!isFirst) {
      announce(`${model.id}, ${does}`);
      main.focus({ preventScroll: true });
    }
  } catch (error) {
    const fault = faults();
    fault.show(error);
    main.replaceChildren(title, fault.element);
  }
}

const chosen = () => decodeURIComponent(location.hash.slice(1));

async function begin() {
  try {
    models = (await call("GET", path("models"))).data;
  } catch (error) {
    const fault = faults();
    fault.show(error);
    main.replaceChildren(h("div", { class: "stack" }, fault.element, h("div", {}, h("button", { onclick: begin }, "Try again"))));
    return;
  }
  if (!models.length) {
    main.replaceChildren(h("p", { class: "notice" }, "This server has no model. Begin it with the folder of a run: ostinato serve RUN."));
    return;
  }
  nav.replaceChildren(...models.map((model) =>
    h("a", { href: `#${encodeURIComponent(model.id)}`, "data-model": model.id, title: TASKS[infoOf(model).task]?.[0] }, model.id)));
  nav.hidden = models.length === 1;
  await show(chosen(), true);
}

whenAsked(askForToken);
themes();
document.getElementById("called").append(callPanel());
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); }); // the address names a model
addEventListener("hashchange", () => show(chosen()));
begin();
