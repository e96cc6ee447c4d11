// The server's API: JSON, server-sent events, bearer tokens, and what went wrong in words.

const ROOT = new URL(".", document.baseURI);
const KEY = "ostinato.token";
let token = null;
try { token = sessionStorage.getItem(KEY); } catch { /* a browser that keeps nothing */ }
let ask = async () => null; // for a token; the page sets it
let asking = null; // one question, however many requests wait for it

export const log = new EventTarget(); // an event "call" for every request
export const hasToken = () => token !== null;
export const whenAsked = (question) => { ask = question; };

export class ApiError extends Error {
  constructor(status, { message, code, type } = {}, after = null) {
    super(message ?? `the server answered ${status}`);
    Object.assign(this, { name: "ApiError", status, code: code ?? type ?? null, after });
  }

  get title() {
    if (this.status === 0) return "The server does not answer. ";
    if (this.status === 401) return "A token is needed. ";
    if (this.status === 429 || this.status === 503) return "The server has its hands full. ";
    return "The server says no. ";
  }

  get words() {
    const wait = this.after === null ? "" : ` Try again in ${this.after} ${this.after === 1 ? "second" : "seconds"}.`;
    const said = this.message.charAt(0).toUpperCase() + this.message.slice(1);
    return (/[.!?]$/.test(said) ? said : `${said}.`) + wait;
  }
}

export const path = (...parts) => ["v1", ...parts].map(encodeURIComponent).join("/");

const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

async function send(method, where, body, { signal, once, keepalive, quiet } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (once) headers["Idempotency-Key"] = random();
  const began = performance.now();
  for (let attempt = 0; ; attempt++) {
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    let answer;
    try {
      answer = await fetch(new URL(where, ROOT), {
        method, headers, signal, keepalive, body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (once && attempt === 0) continue; // the same key: the server does it once, whether or not it has heard us
      throw new ApiError(0, { message: "nobody is there, or the way there is broken; is `ostinato serve` still running?" });
    }
    if (answer.status === 401 && !keepalive && attempt < 5) {
      const before = token;
      asking ??= ask(before !== null).finally(() => { asking = null; });
      const given = await asking;
      if (given !== null) {
        token = given;
        try { sessionStorage.setItem(KEY, given); } catch { /* kept in memory only */ }
        continue;
      }
    }
    if (!quiet) log.dispatchEvent(new CustomEvent("call", { detail: { method, path: where, body, status: answer.status, ms: performance.now() - began } }));
    if (!answer.ok) throw await told(answer);
    return answer;
  }
}

async function told(answer) {
  const after = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  const error = await answer.json().then((found) => found.error, () => undefined);
  return new ApiError(answer.status, error, Number.isNaN(after) ? null : after);
}

/** A request and its JSON. */
export async function call(method, where, body, how) {
  const answer = await send(method, where, body, how);
  return answer.status === 204 ? null : answer.json();
}

/** The data of server-sent events, one after the other; the stream is closed when nobody wants more. */
export async function* events(where, body, how) {
  const answer = await send("POST", where, body, how);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new ApiError(0, { message: "the answer broke off before its end" });
      rest += value.replaceAll("\r", "");
      const parts = rest.split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
        if (data === "[DONE]") return;
        if (!data) continue;
        const found = JSON.parse(data);
        if (found.error) throw new ApiError(found.error.status ?? 500, found.error);
        yield found;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
