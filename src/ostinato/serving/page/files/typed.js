// A text that somebody types, read by a session: only what is new is read, and what was deleted is rewound.

import { Session, isLost } from "./session.js";

const STRIDE = 24; // characters between marks, where every character is a token
const MARKS = 12;

export class TypedReader {
  /** `isGrowing`: a token may still change while it is typed, as words do; then the last word is read anew each time. */
  constructor(model, isGrowing) {
    Object.assign(this, { model, isGrowing, session: null, text: "", pieces: [], marks: [], names: 0 });
  }

  /** What the model says after each token of the text. */
  async read(text) {
    try {
      await this.#read(text);
    } catch (error) {
      if (!isLost(error)) throw error;
      this.#forget(); // the session has ended meanwhile: once more from the beginning
      await this.#read(text);
    }
    return this.pieces;
  }

  #forget() {
    this.session?.end();
    Object.assign(this, { session: null, text: "", pieces: [], marks: [] });
  }

  async #read(text) {
    let same = 0;
    while (same < text.length && same < this.text.length && text[same] === this.text[same]) same++;
    const isAppended = same === this.text.length && (!this.isGrowing || /\s$|^$/.test(this.text));
    if (!isAppended) await this.#back(same);
    const end = this.isGrowing ? text.search(/\S*$/) : text.length;
    if (end > this.text.length) {
      await this.#steps(text.slice(this.text.length, end));
      const last = this.marks.at(-1)?.at ?? 0;
      if (this.isGrowing || end - last >= STRIDE) await this.#mark();
    }
    if (text.length > this.text.length) await this.#steps(text.slice(this.text.length));
  }

  async #steps(text) {
    this.session ??= await Session.open(this.model);
    const { said } = await this.session.steps({ text, all: true });
    this.pieces = [...this.pieces, ...said];
    this.text += text;
  }

  async #mark() {
    const name = `typed${this.names++ % MARKS}`;
    await this.session.mark(name);
    this.marks = [...this.marks.filter((mark) => mark.name !== name), { name, at: this.text.length, count: this.pieces.length }];
  }

  async #back(at) {
    const mark = this.marks.findLast((each) => each.at <= at);
    if (!mark || !this.session) return this.#forget();
    await this.session.rewind(mark.name);
    this.marks = this.marks.filter((each) => each.at <= mark.at);
    this.text = this.text.slice(0, mark.at);
    this.pieces = this.pieces.slice(0, mark.count);
  }

  end() { this.session?.end(); }
}
