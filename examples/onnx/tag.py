"""Runs an exported tagger: python run.py FILE, words with blanks between a line, source code, or an .npy of recordings."""

import json
import sys
import unicodedata
from itertools import groupby
from pathlib import Path

import numpy as np
import onnxruntime
from recordings import steps_of


class Model:
    def __init__(self, folder=Path(__file__).parent):
        folder = Path(folder)
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        self.known = json.loads((folder / "constants.json").read_text(encoding="utf-8"))
        self.crf = dict(np.load(folder / "constants.npz")) if (folder / "constants.npz").exists() else None
        self.characters = {c: id for id, c in enumerate(self.known["characters"], start=1)}
        self.words = {word: id for id, word in enumerate(self.known["words"] or [], start=1)}
        file = folder / card["graphs"]["tagger"]["file"]
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def tag(self, words):
        """The tags of a sentence of words, and of softmax their probabilities."""
        if self.known["words"] is None:
            raise SystemExit("this model tags characters of a text, not words")
        if not words:
            return {"words": [], "tags": []}
        spelt = {}
        places = np.array([spelt.setdefault(word, len(spelt)) for word in words])
        letters = [self.letters(word) for word in spelt]
        spellings = np.zeros((max(1, *map(len, letters)), len(letters)), np.int64)
        for at, ids in enumerate(letters):
            spellings[: len(ids), at] = ids
        given = {
            "words": np.array([self.words.get(self.normal(word, self.known["lower_case"]), 0) for word in words]),
            "places": places,
        }
        emissions = self.emissions(
            {name: v[:, None] for name, v in given.items()}
            | {"spellings": spellings, "spelling_lengths": np.array([len(ids) for ids in letters])},
            "words",
        )
        return {"words": list(words), **self.answer(emissions)}

    def tag_text(self, text):
        """The tag of each character."""
        if not text:
            return []
        ids = np.array([self.characters.get(c, 0) for c in text], np.int64)
        return self.answer(self.emissions({"tokens": ids[:, None]}, "tokens"))["tags"]

    def tag_recording(self, values, times=None):
        """The tags of the steps of a recording, (steps, channels), and of softmax their probabilities."""
        if not self.known["scaling"]:
            raise SystemExit("this model tags texts, not recordings")
        steps = steps_of(self.known["scaling"], values, times)
        return self.answer(self.emissions({"steps": steps[:, None]}, "steps"))

    def emissions(self, given, steps):
        """(T, N); of a text that is longer than a window each step from the window that sees most on both sides."""
        length, window = len(given[steps]), self.known["window"]
        if length <= window:
            return self.session.run(None, {**given, "lengths": np.array([length])})[0][:, 0]
        context = window // 4
        core, found = window - 2 * context, []
        for begin in range(0, length, core):
            end = min(begin + core, length)
            low, high = max(0, begin - context), min(end + context, length)
            part = {name: v if name.startswith("spelling") else v[low:high] for name, v in given.items()}
            emissions = self.session.run(None, {**part, "lengths": np.array([high - low])})[0][:, 0]
            found.append(emissions[begin - low : end - low])
        return np.concatenate(found)

    def answer(self, emissions):
        if self.crf is not None:
            return {"tags": [self.known["tags"][at] for at in self.best_path(emissions.astype(np.float64))]}
        p = np.exp(emissions - emissions.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        best = emissions.argmax(1)
        chances = p[np.arange(len(best)), best]
        return {"tags": [self.known["tags"][at] for at in best], "probabilities": chances.tolist()}

    def best_path(self, emissions):
        """Viterbi's algorithm: the tags whose scores, with those of the steps between them, are the highest together."""
        score, before = self.crf["start"] + emissions[0], []
        for step in emissions[1:]:
            ways = score[:, None] + self.crf["transitions"]
            before.append(ways.argmax(0))
            score = ways.max(0) + step
        path = [int((score + self.crf["end"]).argmax())]
        for back in reversed(before):
            path.append(int(back[path[-1]]))
        return path[::-1]

    def letters(self, word):
        most = self.known["longest_spelling"]
        read = self.normal(word, False)
        read = read if len(read) <= most else read[: most // 2] + read[-(most // 2) :]
        return [self.characters.get(c, 0) for c in read]

    def normal(self, word, lower_case):
        form = self.known["normalisation"]
        word = word if form == "none" else unicodedata.normalize(form.upper(), word)
        return word.lower() if lower_case else word


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        raise SystemExit(__doc__)
    model, file = Model(), sys.argv[1]
    if file.endswith(".npy"):
        for values in np.load(file):
            print(json.dumps(model.tag_recording(values), ensure_ascii=False))
        return
    text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    if model.known["words"] is not None:
        for line in text.splitlines():
            print(json.dumps(model.tag(line.split()), ensure_ascii=False))
    else:
        tagged = zip(text, model.tag_text(text), strict=True)
        for tag, run in groupby(tagged, key=lambda pair: pair[1]):
            print(json.dumps([tag, "".join(c for c, _ in run)], ensure_ascii=False))


if __name__ == "__main__":
    main()
