// A session: the state that the server keeps, and what can be done with it.

import { call, events, path } from "./api.js";

const alive = new Set();
addEventListener("pagehide", () => { for (const session of [...alive]) session.end(); });

export class Session {
  constructor(model, view) {
    Object.assign(this, { model, id: view.id, view });
    alive.add(this);
  }

  /** Begins one; what the server says of the first inputs is in `view`. */
  static async open(model, begin = {}, how = {}) {
    return new Session(model, await call("POST", path(model, "sessions"), begin, how));
  }

  at(...more) { return path(this.model, "sessions", this.id, ...more); }

  steps(body, how) { return call("POST", this.at("steps"), body, { once: true, ...how }); }

  write(body, how) { return events(this.at("generate"), body, how); }

  async mark(name) { return (this.view = await call("POST", this.at("marks", name))); }

  async rewind(mark) { return (this.view = await call("POST", this.at("rewind"), { mark })); }

  async fork(mark) { return new Session(this.model, await call("POST", this.at("fork"), mark === undefined ? {} : { mark })); }

  async look() { return (this.view = await call("GET", this.at(), undefined, { quiet: true })); }

  end() {
    alive.delete(this);
    call("DELETE", this.at(), undefined, { keepalive: true, quiet: true }).catch(() => {}); // it also ends by itself
  }
}

/** Whether the session is not there any more, or elsewhere than we thought: then begin anew. */
export const isLost = (error) => [404, 409, 410].includes(error?.status);
