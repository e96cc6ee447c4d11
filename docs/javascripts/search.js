// The search of the site wants every word of a question on one page. Words that say nothing about the subject would leave no page,
// and so would an ending that the page writes otherwise: "how do I initialize" finds "Initialisation". The search completes words
// by itself, so endings are cut off; of Korean words, particles and the endings of questions.
(() => {
  "use strict";
  const EMPTY = new Set(
    (
      "a about am an and any are as at be by can could did do does for from get has have how i if in into is it its me my of on or " +
      "our please should so some that the their them then there these they this those to use used using want was way we what when " +
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

  const stem = (word) => {
    const latin = /^([!-~]+)[가-힣]{1,3}$/.exec(word); // "LSTM과"
    if (latin) return latin[1];
    if (/^[가-힣]+$/.test(word)) {
      const short = word.replace(PARTICLES, "");
      return short.length > 1 ? short : word;
    }
    for (const [ending, rest] of ENDINGS) {
      const short = word.replace(ending, rest);
      if (short !== word && short.length > 3) return short;
    }
    return word;
  };

  const subject = (asked) => {
    const words = asked.toLowerCase().split(/[\s?!,;"()]+/).filter(Boolean);
    const said = words.filter((word) => !EMPTY.has(word) && !(/^[가-힣]+$/.test(word) && QUESTION.test(word)));
    return said.length ? said.map(stem).join(" ") : asked;
  };

  const send = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...rest) {
    const asked = message?.data?.input;
    const sent = typeof asked === "string" ? { ...message, data: { ...message.data, input: subject(asked) } } : message;
    return send.call(this, sent, ...rest);
  };
})();
