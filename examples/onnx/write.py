"""Runs an exported translator or captioner: python run.py FILE, a text a line, or an .npy of images. Needs numpy and onnxruntime."""

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
        beam = 1 if temperature else beam or self.known["beam"]
        end, draw = self.known["end"], np.random.default_rng(seed)
        inputs = {port["name"]: port for port in self.card["graphs"]["step"]["inputs"]}
        places = begun["values"].shape[0] if "values" in begun else 0
        carried = {name: v for name, v in begun.items() if name in inputs}
        for name in {"fed", "coverage"} & set(inputs):
            size = places if name == "coverage" else inputs[name]["shape"][1]
            carried[name] = np.zeros((1, size), np.float32)
        tokens, total, written, looked = np.array([self.known["begin"]]), np.zeros(1), [()], [()]
        finished = []
        for length in range(most + 1):
            found = self.run("step", {"tokens": tokens, **carried})
            log_p = found["log_p"]
            log_p[:, self.known["forbidden"]] = -np.inf
            if length == most:
                log_p[:, np.arange(log_p.shape[1]) != end] = -np.inf
            at = found["weights"].argmax(1).tolist() if "weights" in found else None
            if temperature:
                p = np.exp((log_p[0].astype(np.float64) - log_p[0].max()) / temperature)
                best = np.array([draw.choice(len(p), p=p / p.sum())])
                ways = (total[:, None] + log_p).reshape(-1)
            else:
                ways = (total[:, None] + log_p).reshape(-1)
                best = np.argsort(-ways, kind="stable")[: 2 * beam if beam > 1 else 1]
            parent, token = np.divmod(best, log_p.shape[1])
            penalty = lambda n: math.exp(self.known["length_penalty"] * math.log((5 + n) / 6))
            for n, (row, id) in enumerate(zip(parent, token, strict=True)):
                if id == end and n < beam and ways[best[n]] > -np.inf:
                    finished.append(
                        (ways[best[n]] / penalty(length + 1), float(ways[best[n]]), written[row], looked[row])
                    )
            on = np.array([n for n in range(len(best)) if token[n] != end and ways[best[n]] > -np.inf][:beam], int)
            if not len(on):
                break
            parent, tokens, total = parent[on], token[on], ways[best[on]]
            written = [(*written[row], int(id)) for row, id in zip(parent, tokens, strict=True)]
            looked = [() if at is None else (*looked[row], at[row]) for row in parent]
            scores = sorted((each[0] for each in finished), reverse=True)
            soonest, latest = total.max() / penalty(length + 2), total.max() / penalty(most + 1)
            if scores and ((len(scores) >= beam and soonest <= scores[0]) or max(soonest, latest) <= scores[0]):
                break
            for name in carried:
                after = found.get(f"{name}_n", found.get(name.replace("_0", "_n", 1), carried[name]))
                carried[name] = np.take(
                    after,
                    parent if len(after) != 1 or name != "x" else parent,
                    0 if name in ("valid", "fed", "coverage") else 1,
                )
        if not finished:
            return list(written[0]), -math.inf, list(looked[0])
        best = max(finished, key=lambda each: each[0])
        return list(best[2]), best[1], list(best[3])


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
