"""Runs an exported language model: python run.py --prompt "It was" --length 200. Needs numpy and onnxruntime."""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import onnxruntime
from vocabulary import Vocabulary


class Model:
    def __init__(self, folder=Path(__file__).parent):
        card = json.loads((Path(folder) / "card.json").read_text(encoding="utf-8"))
        constants = json.loads((Path(folder) / "constants.json").read_text(encoding="utf-8"))
        self.vocabulary = Vocabulary(constants["vocabulary"])
        self.first = {name: np.array(v, np.float32)[:, None] for name, v in constants["first_states"].items()}
        self.sessions = {
            name: onnxruntime.InferenceSession(Path(folder) / graph["file"], providers=["CPUExecutionProvider"])
            for name, graph in card["graphs"].items()
        }

    def run(self, graph, tokens, states):
        """Scores of what comes after each token, and the states after the last one."""
        scores, *states = self.sessions[graph].run(None, {"tokens": tokens, **states})
        return scores, dict(zip(self.first, states, strict=True))

    def score_tokens(self, ids, block=256):
        """Nats of all tokens but the first."""
        nats, states = 0.0, self.first
        for start in range(0, len(ids) - 1, block):
            wanted = ids[start + 1 : start + block + 1]
            scores, states = self.run("sequence", ids[start : start + len(wanted), None], states)
            scores = scores[:, 0].astype(np.float64)
            top = scores.max(1, keepdims=True)
            log_sum = top[:, 0] + np.log(np.exp(scores - top).sum(1))
            nats += float((log_sum - scores[np.arange(len(wanted)), wanted]).sum())
        return nats

    def score(self, text):
        """Nats of a text, whose first token is given."""
        return self.score_tokens(self.vocabulary.encode(text))

    def generate(self, prompt="", length=200, temperature=1.0, top_k=None, top_p=None, seed=None, beam=1):
        """What comes after a prompt: drawn, with temperature 0 the likeliest token each time, with a beam the likeliest text."""
        ids, states = self.vocabulary.encode(prompt or "\n"), self.first
        if len(ids) > 1:
            _, states = self.run("sequence", ids[:-1, None], states)
        draw, last, written = np.random.default_rng(seed), ids[-1], []
        if beam > 1:
            written = self.beam(last, states, length, beam).tolist()
        while len(written) < length:
            scores, states = self.run("step", np.array([last]), states)
            last = pick(scores[0], temperature, top_k, top_p, draw)
            written.append(last)
        before = ids[-8:].tolist()  # a word stands behind a blank where something is before it
        return self.vocabulary.decode(before + written)[len(self.vocabulary.decode(before)) :]

    def beam(self, last, states, length, width):
        """The likeliest tokens of a length, of those that stay among the `width` likeliest all along."""
        tokens, total, written = np.array([last]), np.zeros(1), np.zeros((1, 0), np.int64)
        for _ in range(length):
            scores, states = self.run("step", tokens, states)
            log_p = total[:, None] + log_softmax(scores)
            best = np.argsort(-log_p, axis=None, kind="stable")[:width]
            parent, tokens = np.divmod(best, log_p.shape[1])
            total, written = log_p.reshape(-1)[best], np.column_stack([written[parent], tokens])
            states = {name: v[:, parent] for name, v in states.items()}
        return written[0]


def log_softmax(scores):
    scores = scores.astype(np.float64) - scores.max(-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def pick(scores, temperature, top_k, top_p, draw):
    """A token: the likeliest, or one that is drawn."""
    scores = scores.astype(np.float64)
    if temperature == 0:
        return int(scores.argmax())
    p = np.exp((scores - scores.max()) / temperature)
    order = np.argsort(-p, kind="stable")
    p = p[order] / p.sum()
    if top_k is not None:
        p[top_k:] = 0
        p /= p.sum()
    if top_p is not None:
        p[np.cumsum(p) - p >= top_p] = 0
    return int(order[draw.choice(len(p), p=p / p.sum())])


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--prompt", default="", help="text to go on from")
    words.add_argument("--length", type=int, default=200, help="tokens to write")
    words.add_argument("--temperature", type=float, default=0.8, help="0 takes the likeliest token each time")
    words.add_argument("--top_k", type=int, default=None, help="draw from so many tokens")
    words.add_argument("--top_p", type=float, default=None, help="draw from the likeliest tokens of this share")
    words.add_argument("--beam", type=int, default=1, help="search for the likeliest text among so many")
    words.add_argument("--seed", type=int, default=None, help="the same one writes the same")
    words.add_argument("--score", default=None, help="a text to score, in place of writing one")
    given = words.parse_args()
    model = Model()
    if given.score is not None:
        nats = model.score(given.score)
        print(f"{nats:.4f} nats, {nats / math.log(2) / max(len(given.score), 1):.4f} bits a character")
    else:
        options = (given.temperature, given.top_k, given.top_p, given.seed, given.beam)
        print(given.prompt + model.generate(given.prompt, given.length, *options))


if __name__ == "__main__":
    main()
