// A text of a language model: its tokens, and a session that stands behind the last of them.

import { events, path } from "./api.js";
import { Session, isLost } from "./session.js";

const STRIDE = 64; // tokens between marks
const MARKS = 16; // as many as a server lets a session have, unless it is told otherwise
export const TOP = 10;
const markOf = (count) => `t${count}`;

export class Branch {
  constructor(model, hasSessions) {
    Object.assign(this, { model, hasSessions, session: null, pieces: [], next: null, marks: new Set(), isExact: true });
  }

  get text() { return this.pieces.map((piece) => piece.text).join(""); }

  async #open() {
    this.session ??= await Session.open(this.model);
  }

  /** Reads words of one's own. */
  async read(text) {
    if (!text) return;
    if (!this.hasSessions) {
      this.pieces.push({ text, token: null, top: null });
      this.next = null;
      return;
    }
    await this.settle();
    await this.#open();
    const { said } = await this.session.steps({ text, all: true, top: TOP });
    for (const each of said) {
      this.pieces.push({ text: each.text ?? "", token: each.token ?? null, top: this.next });
      this.next = each.next ?? null;
    }
    await this.#mark();
  }

  /** Reads tokens that are known already. */
  async #again(pieces) {
    if (!pieces.length) return;
    const isKnown = pieces.every((piece) => Number.isInteger(piece.token));
    const given = isKnown ? { tokens: pieces.map((piece) => piece.token) } : { text: pieces.map((piece) => piece.text).join("") };
    const { said } = await this.session.steps({ ...given, top: TOP });
    this.pieces.push(...pieces);
    this.next = said.at(-1)?.next ?? null;
  }

  /** Goes on with a token of `next`. */
  async take({ token, text }) {
    const piece = { text, token, top: this.next };
    if (!this.hasSessions) {
      this.pieces.push(piece);
      this.next = null;
      return;
    }
    await this.settle();
    await this.#open();
    await this.#again([piece]);
  }

  async #mark() {
    if (!this.session || this.marks.size >= MARKS) return;
    const name = markOf(this.pieces.length);
    try {
      await this.session.mark(name);
      this.marks.add(this.pieces.length);
    } catch (error) {
      if (error.name === "AbortError" || isLost(error)) throw error;
      // No more marks: what lies behind the last one is read again.
    }
  }

  /** Writes; calls `onPiece` after each token. Where it is stopped, `settle` mends the session later. */
  async write(how, onPiece, signal) {
    let left = how.max_tokens;
    const first = this.pieces.length;
    if (this.hasSessions) {
      await this.settle();
      await this.#open();
    }
    while (left > 0) {
      const count = this.hasSessions ? Math.min(left, STRIDE) : left;
      const body = { ...how, max_tokens: count, logprobs: TOP };
      const stream = this.hasSessions
        ? this.session.write(body, { signal })
        : events(path(this.model, "generate"), { ...body, prompt: this.text }, { signal });
      let end = null;
      this.isExact = false; // until the end has come, the server may be further than we know
      for await (const found of stream) {
        if (found.finish_reason) { end = found; continue; }
        if (found.token === undefined) continue;
        const piece = { text: found.text ?? "", token: found.token, top: topOf(found), unit: found.unit };
        this.pieces.push(piece);
        left--;
        onPiece(piece);
      }
      this.isExact = true;
      this.next = end?.next ?? null;
      if (!end || end.finish_reason === "stop") break;
      if (this.hasSessions) await this.#mark();
    }
    if (this.hasSessions && !this.next && this.pieces.length) {
      await this.#rebuild(); // where the server does not say what comes next, it is asked
    }
    return this.pieces.length - first;
  }

  /** After a stop: a session that stands exactly behind the last token that was seen. */
  async settle() {
    if (this.isExact) return;
    await this.#rebuild();
    this.isExact = true;
  }

  async #rebuild() {
    const made = await this.fork(this.pieces.length);
    this.session?.end();
    Object.assign(this, { session: made.session, next: made.next, marks: made.marks });
  }

  /** Another text that goes on from here: from the nearest mark, and where there is none, by reading again. */
  async fork(count) {
    const made = new Branch(this.model, this.hasSessions);
    const kept = this.pieces.slice(0, count);
    if (!this.hasSessions) {
      made.pieces = kept;
      return made;
    }
    const marks = [...this.marks].filter((mark) => mark <= count).sort((a, b) => a - b);
    let from = 0;
    if (this.session && marks.length) {
      try {
        // One before the place itself: the last token is read again, and so it is known what comes next.
        from = marks.findLast((mark) => mark < count || count === 0) ?? 0;
        if (from) made.session = await this.session.fork(markOf(from));
      } catch (error) {
        if (!isLost(error)) throw error;
        from = 0;
      }
    }
    if (!made.session) from = 0;
    made.marks = new Set(marks.filter((mark) => mark <= from));
    made.pieces = kept.slice(0, from);
    if (count > from) {
      await made.#open();
      await made.#again(kept.slice(from));
    }
    return made;
  }

  end() { this.session?.end(); }
}

function topOf(found) {
  if (!found.top_logprobs?.length) return null;
  return found.top_logprobs.map(({ token, text, logprob }) => ({ token, text, p: Math.exp(logprob) }));
}
