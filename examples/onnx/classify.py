"""Runs an exported classifier: python run.py FILE, a text a line or an .npy of images or recordings. Needs numpy, onnxruntime."""

import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import onnxruntime
from recordings import steps_of
from vocabulary import Vocabulary, words


class Model:
    def __init__(self, folder=Path(__file__).parent):
        folder = Path(folder)
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        self.known = json.loads((folder / "constants.json").read_text(encoding="utf-8"))
        self.counts = dict(np.load(folder / "constants.npz")) if (folder / "constants.npz").exists() else {}
        self.vocabulary = Vocabulary(self.known["vocabulary"]) if self.known["vocabulary"] else None
        file = folder / card["graphs"]["classifier"]["file"]
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def classify(self, texts):
        """Of each text the class, its probability and all of them."""
        if self.vocabulary is None:
            raise SystemExit("this model tells images or recordings apart, not texts")
        return [self.answer(self.logits(self.encode(text))) for text in texts]

    def classify_images(self, pixels):
        """The same of images, (N, height, width) or (N, height, width, channels), from 0 to what is white."""
        if self.vocabulary is not None or self.known["scaling"]:
            raise SystemExit("this model tells texts or recordings apart, not images")
        pixels = np.asarray(pixels)
        rows = pixels.reshape(*pixels.shape[:2], -1)[:, : self.known["max_length"]].astype(np.float32)
        scaled = (rows / np.float32(self.known["white"]) - np.float32(self.known["mean"])) / np.float32(
            self.known["deviation"]
        )
        logits = [
            self.session.run(None, {"rows": np.ascontiguousarray(scaled[at : at + 256].transpose(1, 0, 2))})[0]
            for at in range(0, len(scaled), 256)
        ]
        return [self.answer(each) for each in np.concatenate(logits)] if logits else []

    def classify_recordings(self, recordings, times=None):
        """The same of recordings, each (steps, channels), NaN where a value is missing; times of each, where training had them."""
        if not self.known["scaling"]:
            raise SystemExit("this model tells texts or images apart, not recordings")
        found = []
        for values, moments in zip(recordings, times or [None] * len(recordings), strict=True):
            steps = steps_of(self.known["scaling"], values, moments)[: self.known["max_length"]]
            logits = self.session.run(None, {"steps": steps[:, None], "lengths": np.array([len(steps)])})[0]
            found.append(self.answer(logits[0]))
        return found

    def encode(self, text):
        form = self.known["normalisation"]
        text = text if form == "none" else unicodedata.normalize(form.upper(), text)
        text = text.lower() if self.known["lower_case"] else text
        text = words(text) if self.vocabulary.kind == "word" else text
        return self.vocabulary.encode(text)[: self.known["max_length"]]

    def logits(self, ids):
        tokens = ids if len(ids) else np.zeros(1, np.int64)  # an empty text has no step that counts
        found = self.session.run(None, {"tokens": tokens[:, None], "lengths": np.array([len(ids)])})[0][0]
        if self.counts:
            found = found + self.counts["scale"] * self.naive_bayes(ids)
        return found

    def naive_bayes(self, ids):
        """Evidence of tokens and of runs of them, once each."""
        size = len(self.vocabulary.texts) or 256
        places, key, start = [ids], ids, size
        for n in range(2, 2 + sum(name.startswith("keys_") for name in self.counts)):
            keys = self.counts[f"keys_{n}"]
            key = key[:-1] * size + ids[n - 1 :] if len(ids) >= n else key[:0]
            at = np.searchsorted(keys, key).clip(0, max(len(keys) - 1, 0))
            places.append(start + at[keys[at] == key] if len(keys) and len(key) else key[:0])
            start += len(keys)
        places = np.unique(np.concatenate(places))
        evidence = self.counts["log_p"][places].sum(0) / np.sqrt(np.float32(max(len(places), 1)))
        return self.counts["prior"] + evidence

    def answer(self, logits):
        target, classes = self.known.get("target", "class"), self.known["classes"]
        if target == "number":
            scale = self.known["number"]
            number = {"number": float(logits[0]) * scale["deviation"] + scale["mean"]}
            if len(logits) == 1:
                return number
            return {**number, "deviation": float(np.exp(max(logits[1], np.log(1e-3)))) * scale["deviation"]}
        if target == "several":
            p = (1 / (1 + np.exp(-logits))).tolist()
            labels = [name for name, each in zip(classes, p, strict=True) if each >= self.known["threshold"]]
            return {"labels": labels, "probabilities": dict(zip(classes, p, strict=True))}
        p = np.exp(logits - logits.max())
        p = (p / p.sum()).tolist()
        best = max(range(len(p)), key=p.__getitem__)
        return {"class": classes[best], "probability": p[best], "probabilities": dict(zip(classes, p, strict=True))}


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        raise SystemExit(__doc__)
    model, file = Model(), sys.argv[1]
    if file.endswith(".npy"):
        values = np.load(file)
        answers = model.classify_recordings(values) if model.known["scaling"] else model.classify_images(values)
    else:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        answers = model.classify(text.splitlines())
    for answer in answers:
        print(json.dumps(answer, ensure_ascii=False))


if __name__ == "__main__":
    main()
