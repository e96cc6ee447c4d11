"""A small run, and all that it leaves behind."""

import json
import os

import numpy as np
import torch

from ostinato.data import CharVocabulary, Streams, Tokens
from ostinato.models import LanguageModel
from ostinato.training import Progress, RunFolder, TrainingSettings, fit

TEXT = "the quick brown fox jumps over the lazy dog\n" * 12
LETTERS = CharVocabulary("".join(sorted(set(TEXT))))


def streams(batch_size=4, chunk_length=8, vary_length=False):
    ids = LETTERS.encode(TEXT)
    starts = np.flatnonzero(np.roll(ids, 1) == LETTERS.encode("\n")[0])
    tokens = Tokens(ids, starts, len(TEXT), 1)
    return Streams(tokens, batch_size, chunk_length, reset_at_documents=True, vary_length=vary_length)


def train(folder, resume=False, hook=None, module=None, quiet=True, how=None, **settings):
    """A run of 40 steps on four streams: two epochs and a half, with dropout, so that everything a state holds matters."""
    torch.manual_seed(0)
    module = module or LanguageModel(LETTERS, 6, 10, num_layers=2, dropout=0.3)
    run = RunFolder(folder)
    if not resume:
        run.create({})
    calls = []

    def validation():
        calls.append(None)
        if hook is not None:
            hook(len(calls))
        return iter(streams())

    settings = TrainingSettings(
        **{"max_steps": 40, "evaluate_every": 6, "log_every": 5, "learning_rate": 0.02, **settings}
    )
    outcome = fit(
        module,
        streams(vary_length=settings.vary_length),
        validation,
        run=run,
        settings=settings,
        device="cpu",
        precision="32-true",
        resume=resume,
        progress=Progress(quiet=quiet),
        sample=lambda: "sample",
        **(how or {}),
    )
    return outcome, module, run


def at(evaluation, number):
    def hook(n):
        if n == evaluation:
            os.kill(os.getpid(), number)

    return hook


def everything(run):
    """All that a run leaves behind, but the time it took."""
    state = run.checkpoints.read().state
    state["counters"].pop("elapsed_s")
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    for line in lines:
        for name in ("elapsed_s", "tokens_per_s", "waiting_share"):
            line.pop(name, None)
    return state, lines, run.model_file.read_bytes()


def assert_same(left, right, where="state"):
    assert type(left) is type(right), where
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_same(left[key], right[key], f"{where}.{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), where
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            assert_same(a, b, f"{where}.{i}")
    else:
        assert left == right, where
