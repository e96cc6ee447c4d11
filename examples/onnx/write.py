"""Runs an exported translator or captioner: python run.py FILE, a text a line, or an .npy of images. numpy and onnxruntime do."""

import argparse
import json
import math
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import onnxruntime
from vocabulary import Vocabulary, words


class Model:
    def __init__(self, folder=Path(__file__).parent):
        folder = Path(folder)
        self.card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        self.known = json.loads((folder / "constants.json").read_text(encoding="utf-8"))
        self.vocabulary = Vocabulary(self.known["vocabulary"])
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / graph["file"], providers=["CPUExecutionProvider"])
            for name, graph in self.card["graphs"].items()
        }

    def run(self, graph, given):
        names = [port["name"] for port in self.card["graphs"][graph]["outputs"]]
        return dict(zip(names, self.sessions[graph].run(None, given), strict=True))

    def translate(self, text, **how):
        """The translation of a text, and its log probability."""
        know = self.known
        if not text.strip():
            return {"text": "", "log_probability": 0.0}
        source, kind = Vocabulary(know["source"]), know["source"]["kind"]
        form = know["normalisation"]
        text = text.strip() if form == "none" else unicodedata.normalize(form.upper(), text.strip())
        text = text.lower() if know["lower_case"] else text
        text = " " + text if kind == "bpe" else words(text, know["joiner"]) if kind == "word" else text
        ids = source.encode(text)
        begun = self.run("encoder", {"tokens": ids[:, None], "lengths": np.array([len(ids)])})
        tokens, log_p, looked = self.write(begun, 2 * len(ids) + 10, **how)
        read = text.split() if kind == "word" else text
        return {"text": self.said(tokens, looked, read), "log_probability": log_p}

    def caption(self, image, **how):
        """The caption of an image, (height, width) or (height, width, channels), black 0 and white 1."""
        image = np.asarray(image, np.float32)
        image = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
        scaled = (image - np.float32(self.known["mean"])) / np.float32(self.known["deviation"])
        begun = self.run("encoder", {"images": np.ascontiguousarray(scaled[None])})
        tokens, log_p, _ = self.write(begun, self.known["max_length"], **how)
        text = self.said(tokens)
        if self.vocabulary.kind == "word":
            text = re.sub(r"([(\[{]) ", r"\1", re.sub(r" (?=[.,!?;:%)\]}])", "", text))
        return {"text": text, "log_probability": log_p}

    def said(self, tokens, looked=None, read=()):
        unknown, kind = self.known.get("unknown"), self.vocabulary.kind
        if (
            looked and unknown in tokens and kind in ("char", "word")
        ):  # what the step looked at, in the place of an unknown one
            pieces = [
                read[at] if id == unknown else self.vocabulary.texts[id] for id, at in zip(tokens, looked, strict=True)
            ]
            text = (" " if kind == "word" else "").join(pieces)
        else:
            text = self.vocabulary.decode(tokens)
        if self.known["reads"] == "text" and kind == "bpe":
            return text.removeprefix(" ")
        joiner = self.known.get("joiner")
        return text.replace(f" {joiner}", "").removeprefix(joiner) if joiner and kind == "word" else text

    def write(self, begun, most, beam=None, temperature=0.0, seed=None):
        """Tokens, their log probability, and where each step looked: greedy, drawn, or the best of a beam."""
        width, draw = 1 if temperature else beam or self.known["beam"], np.random.default_rng(seed)
        carried = self.first(begun)
        tokens, total, written, looked, finished = np.array([self.known["begin"]]), np.zeros(1), [()], [()], []
        for length in range(most + 1):
            found = self.run("step", {"tokens": tokens, **carried})
            log_p, at = self.allowed(found["log_p"], is_last=length == most), found.get("weights")
            ways = (total[:, None] + log_p).reshape(-1)
            if temperature:
                p = np.exp((log_p[0].astype(np.float64) - log_p[0].max()) / temperature)
                best = np.array([draw.choice(len(p), p=p / p.sum())])
            else:
                best = np.argsort(-ways, kind="stable")[: 2 * width if width > 1 else 1]
            parent, token = np.divmod(best, log_p.shape[1])
            ends = (token == self.known["end"]) & (ways[best] > -np.inf)
            for n in np.flatnonzero(ends[:width]):
                score = ways[best[n]] / self.penalty(length + 1)
                finished.append((score, float(ways[best[n]]), written[parent[n]], looked[parent[n]]))
            on = np.flatnonzero(~ends & (ways[best] > -np.inf))[:width]
            if not len(on):
                break
            parent, tokens, total = parent[on], token[on], ways[best[on]]
            places = [None] * len(log_p) if at is None else at.argmax(1).tolist()
            written = [(*written[row], int(id)) for row, id in zip(parent, tokens, strict=True)]
            looked = [(*looked[row], places[row]) for row in parent]
            top = max((each[0] for each in finished), default=-math.inf)
            soonest, latest = total.max() / self.penalty(length + 2), total.max() / self.penalty(most + 1)
            if max(soonest, latest) <= top or (len(finished) >= width and soonest <= top):
                break
            for name, v in carried.items():  # what comes out of a step, and of memories the same, for those that go on
                after = found.get(f"{name}_n", found.get(name.replace("_0", "_n"), v))
                carried[name] = np.take(after, parent, 0 if name in ("valid", "fed", "coverage") else 1)
        _, log_p, tokens, looked = max(
            finished, key=lambda each: each[0], default=(0, -math.inf, written[0], looked[0])
        )
        return list(tokens), log_p, list(looked)

    def first(self, begun):
        """What goes into the first step besides the token."""
        inputs = {port["name"]: port["shape"] for port in self.card["graphs"]["step"]["inputs"]}
        sizes = {"fed": lambda: inputs["fed"][1], "coverage": lambda: begun["values"].shape[0]}
        zeros = {name: np.zeros((1, size()), np.float32) for name, size in sizes.items() if name in inputs}
        return {name: v for name, v in begun.items() if name in inputs} | zeros

    def allowed(self, log_p, is_last):
        log_p[:, self.known["forbidden"]] = -np.inf
        if is_last:
            log_p[:, np.arange(log_p.shape[1]) != self.known["end"]] = -np.inf
        return log_p

    def penalty(self, length):
        return math.exp(self.known["length_penalty"] * math.log((5 + length) / 6))


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("file", help="texts, a line each, - for standard input; or images, .npy")
    words.add_argument(
        "--beam", type=int, default=None, help="how many are followed; 1 takes the likeliest token each time"
    )
    words.add_argument("--temperature", type=float, default=0.0, help="above 0 the text is drawn")
    words.add_argument("--seed", type=int, default=None, help="of what is drawn")
    given = words.parse_args()
    model, how = Model(), {"beam": given.beam, "temperature": given.temperature, "seed": given.seed}
    if model.known["reads"] == "images":
        answers = (model.caption(image, **how) for image in np.load(given.file))
    else:
        text = sys.stdin.read() if given.file == "-" else Path(given.file).read_text(encoding="utf-8")
        answers = (model.translate(line, **how) for line in text.splitlines())
    for answer in answers:
        print(json.dumps(answer, ensure_ascii=False))


if __name__ == "__main__":
    main()
