// The search of the site wants every word of a question in one section, and orders what it finds by where the words stand. People ask
// in sentences, with words that no section has all of. So the words are weighed here, as search engines do it (BM25): the section
// that answers most of the question is found, the search is asked for the words that it has, and what comes back is put in order.
(() => {
  "use strict";
  const EMPTY = new Set(
    (
      "a about am an and any are as at be by can could did do does for from get has have how i if in into is it its me my of on or " +
      "our please should so some that the their them then there these they this those to use used using vs want was way we what when " +
      "where which who why will with without would you your " +
      "왜 어떻게 어떤 어디 어디에 어디서 언제 무엇 무엇을 무엇이 무엇인가 무엇인가요 뭐 뭔가요 뭘 방법 방법은 법 하는 하는법 하나 하려면 " +
      "할 수 내 제 나의 저의 있는 있나 것 때 싶다 싶어요 좀 및"
    ).split(" "),
  );
  const ENDINGS = [
    [/i[sz](?:e[drs]?|ers|ing|ations?)$/, "i"],
    [/ications?$/, ""],
    [/ions?$/, ""],
    [/([b-df-hj-np-tv-z])\1(?:ing|ed)$/, "$1"],
    [/(?:ing|ed)$/, ""],
    [/([^s])s$/, "$1"],
    [/e$/, ""],
  ];
  const PARTICLES = /(?:이란|란|이라는|에서는|에서|에게|으로|부터|까지|보다|처럼|하기|하는|하려면|시키기|은|는|이|가|을|를|의|에|로|와|과|도|만)$/;
  const QUESTION = /(?:나요|까요|가요|인가|니까|예요|세요|주세요|려면)$/;
  // What people say for what the pages say.
  const OTHERWISE = { custom: "own", quantize: "int8 8 bits", quantization: "int8 8 bits", pytorch: "torch", "배치 퍼스트": "batch_first", 초기값: "초기 상태" };
  const HANGUL = /[가-힣]/;

  const stem = (word) => {
    const latin = /^([!-~]+)[가-힣]{1,3}$/.exec(word); // "LSTM과"
    if (latin) return latin[1];
    if (/^[가-힣]+$/.test(word)) {
      let short = word;
      for (let next; (next = short.replace(PARTICLES, "")) !== short && next.length > 1; ) short = next;
      return short;
    }
    for (const [ending, rest] of ENDINGS) {
      const short = word.replace(ending, rest);
      if (short !== word && short.length > 3) return short;
    }
    return word;
  };

  const wordsOf = (asked) => {
    let text = asked.toLowerCase();
    for (const [said, meant] of Object.entries(OTHERWISE)) text = text.replace(new RegExp(`(?<![a-z])${said}(?![a-z])`, "g"), meant);
    const words = text.split(/[\s?!,;:"()/=.-]+/).filter(Boolean);
    const said = words.filter((word) => !EMPTY.has(word) && !(/^[가-힣]+$/.test(word) && QUESTION.test(word)));
    return [...new Set((said.length ? said : words).map(stem))];
  };

  // Of each word of the site: the sections that have it, how often, and whether their heading or the name of their page has it.
  const tokens = (text) => text.replace(/<[^>]*>/g, " ").toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
  const read = (items) => {
    const index = new Map();
    const lengths = items.map(({ level, title, text, path }, section) => {
      const told = new Map(); // word: [times in the text, in the heading, in the name of the page]
      const add = (words, field) =>
        words.forEach((word) => {
          if (!told.has(word)) told.set(word, [0, 0, 0]);
          told.get(word)[field] += 1;
        });
      const body = tokens(text);
      add(body, 0);
      add(tokens(title), 1);
      add(tokens(`${(path ?? []).at(-1) ?? ""} ${level === 1 ? title : ""}`), 2);
      for (const [word, counts] of told) {
        if (!index.has(word)) index.set(word, []);
        index.get(word).push([section, counts]);
      }
      return body.length;
    });
    const mean = lengths.reduce((sum, length) => sum + length, 0) / Math.max(1, lengths.length);
    // Pages that teach come before those that list.
    const worth = items.map(({ location }) =>
      /\/reference\//.test(location)
        ? 0.4
        : /\/(?:claims|house|papers|benchmarks|glossary|scaling_predicted)\//.test(location)
          ? 0.6
          : /\/notes\//.test(location)
            ? 0.92
            : 1,
    );
    return { items, index, lengths, mean, worth };
  };

  // For each section, how well it answers, and which of the words it has. What the rest of its page has counts too.
  const HEADING = 0.8;
  const PAGE = 1.6;
  const REST = 0.8;
  const weigh = (site, words, korean) => {
    const { items, index, lengths, mean, worth } = site;
    const scores = new Float64Array(items.length);
    const has = items.map(() => []);
    const pages = new Map();
    const pageOf = (section) => items[section].location.split("#")[0];
    for (const word of words) {
      const found = new Map();
      for (const [token, sections] of index) {
        if (!token.startsWith(word)) continue;
        const whole = token.length - word.length <= 3 ? 1 : 0.3; // "cells" tells more of "cell" than "forecast" of "for"
        for (const [section, counts] of sections) {
          const sum = found.get(section) ?? [0, 0, 0];
          found.set(section, [sum[0] + whole * counts[0], Math.max(sum[1], whole * (counts[1] > 0)), Math.max(sum[2], whole * (counts[2] > 0))]);
        }
      }
      const rare = Math.log(1 + (items.length - found.size + 0.5) / (found.size + 0.5));
      const seen = new Map();
      for (const [section, [times, heading, page]] of found) {
        const often = (2.2 * times) / (times + 1.2 * (0.6 + (0.4 * lengths[section]) / mean));
        const gain = rare * (often + HEADING * heading + PAGE * page);
        scores[section] += gain;
        has[section].push(word);
        seen.set(pageOf(section), Math.max(gain, seen.get(pageOf(section)) ?? 0));
      }
      for (const [page, gain] of seen) pages.set(page, (pages.get(page) ?? 0) + gain);
    }
    scores.forEach((score, section) => {
      if (!score) return;
      const tongue = /\/ko\//.test(items[section].location) === korean ? 1 : 0.4;
      scores[section] = (score + REST * pages.get(pageOf(section))) * worth[section] * tongue;
    });
    return { scores, has };
  };

  // The search gives ten answers at a time, in an order of its own: all are fetched before the page sees them, best first.
  const MOST = 200;
  let given; // the sections, as the page hands them to the search
  let site;
  let scores;
  let waiting = 0; // answers that are still to come; older ones than the last are dropped
  let found = [];
  let last; // what was asked
  const heard = new WeakMap(); // what the page does with a message of a worker
  const send = Worker.prototype.postMessage;

  const subject = (asked) => {
    const words = wordsOf(asked);
    scores = undefined;
    if (!given || !words.length) return asked;
    site ??= read(given);
    const weighed = weigh(site, words, HANGUL.test(asked));
    scores = weighed.scores;
    let best = 0;
    scores.forEach((score, section) => {
      if (score > scores[best]) best = section;
    });
    return (scores[best] ? weighed.has[best] : words).join(" ");
  };

  function hear(event) {
    const page = heard.get(this);
    const { data } = event.data;
    if (!Array.isArray(data?.items)) return page.call(this, event);
    waiting -= 1;
    if (waiting > 0) return undefined;
    found.push(...data.items);
    const next = data.pagination?.next;
    if (next && scores && found.length < MOST) {
      waiting += 1;
      return send.call(this, { ...last, data: { ...last.data, page: next } });
    }
    const items = scores ? found.sort((a, b) => scores[b.id] - scores[a.id]) : found;
    const pagination = scores ? { ...data.pagination, prev: undefined, next: undefined } : data.pagination;
    return page.call(this, new MessageEvent("message", { data: { ...event.data, data: { ...data, items, pagination } } }));
  }

  Worker.prototype.postMessage = function (message, ...rest) {
    if (this.onmessage && this.onmessage !== hear) {
      heard.set(this, this.onmessage);
      this.onmessage = hear;
    }
    if (Array.isArray(message?.data?.items)) given = message.data.items;
    if (typeof message?.data?.input !== "string") return send.call(this, message, ...rest);
    last = { ...message, data: { ...message.data, input: subject(message.data.input) } };
    waiting += 1;
    found = [];
    return send.call(this, last, ...rest);
  };
})();
