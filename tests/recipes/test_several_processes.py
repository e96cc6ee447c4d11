"""Validation of real processes, of a task of one's own, against one process that evaluates what they keep."""

import json
import os
import subprocess
import sys

import pytest

from ostinato.recipes import open_run

TASK = """
import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

import ostinato
from ostinato.data.batches.batches import Batch
from ostinato.data.records.splits import Splits
from ostinato.errors import DataError
from ostinato.recipes.settings import TaskSettings
from ostinato.recipes.task import Judge, Task

BROKEN = os.environ.get("BROKEN")


@dataclass(frozen=True)
class SumSettings(TaskSettings):
    task: str = "sums"


class Sequences:
    def __init__(self, part):
        self.part, self.lengths = part, np.array([len(each) for each in part])
        self.counts = np.ones(len(part), np.int64)

    def batch(self, rows):
        numbers = [torch.from_numpy(self.part[row]) for row in rows]
        together = nn.utils.rnn.pad_sequence(numbers)[..., None]
        sums = torch.stack([each.sum() for each in numbers])
        return Batch(together, sums, torch.from_numpy(self.lengths[rows]), torch.from_numpy(rows))


class Normal(nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent, self.norm, self.output = ostinato.GRU(1, 6), nn.BatchNorm1d(6), nn.Linear(6, 1)

    def forward(self, batch):
        return self.output(self.norm(self.recurrent(batch.input, lengths=batch.lengths)[1][-1]))[:, 0]

    def loss(self, batch, state=None):
        return nn.functional.mse_loss(self(batch), batch.target), None


class SumJudge(Judge):
    memory = ("errors",)

    def __init__(self, model):
        self.model, self.errors = model, []

    def see(self, batch):
        if BROKEN is not None and BROKEN == os.environ.get("RANK"):
            raise DataError("sums: expected better data")
        said = self.model(batch)
        self.errors.append((said - batch.target).abs())
        return nn.functional.mse_loss(said, batch.target)

    def figures(self):
        return {"error": float(torch.cat(self.errors).mean())}


class Sums(Task):
    name, settings, errors, rows = "sums", SumSettings, ("error",), 3

    def read(self, settings):
        draw = np.random.default_rng(0)
        made = [draw.normal(size=draw.integers(1, 9)).astype(np.float32) for _ in range(49)]
        return Splits("sums", made[:30], made[30:], [])

    def read_part(self, settings, known, data, *, labelled):
        return self.read(settings).validation

    def learn(self, settings, train):
        return {}

    def to_dict(self, known):
        return known

    def from_dict(self, content):
        return content

    def examples(self, settings, known, part):
        return Sequences(part)

    def build(self, settings, known):
        return Normal()

    def judged_by(self, settings):
        return "error"

    def judge(self, learnt, part, examples, *, final):
        return SumJudge(learnt.model)

    def answers(self, learnt, part, batch):
        return [{"sum": each} for each in learnt.model(batch).tolist()]
"""


def train(folder, *more, **environment):
    (folder / "sums.py").write_text(TASK)
    settings = {"max_steps": 9, "evaluate_every": 3, "batch_size": 12, "learning_rate": 0.05}
    words = [f"--training.{name}={value}" for name, value in settings.items()]
    fixed = ["--data=sums", "--run=run", "--device=cpu", "--precision=32-true", "--quiet"]
    command = [sys.executable, "-m", "ostinato.cli.main", "train", "sums:Sums", *fixed, *words, *more]
    paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_what_processes_find_is_what_one_finds_of_the_weights_and_buffers_that_they_keep(
    tmp_path, monkeypatch, strategy
):
    """Batch normalisation counts the rows of its own process, and one process' counts are kept."""
    ended = train(tmp_path, "--devices=2", f"--strategy={strategy}")
    assert (ended.returncode, ended.stderr) == (0, "")
    told = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    told = [line for line in told if "validation_error" in line]
    assert len(told) == 3
    monkeypatch.syspath_prepend(tmp_path)
    found, _ = open_run(tmp_path / "run").evaluate("sums")
    assert {line["validation_error"] for line in told} > {found.figures["error"]}
    best = min(told, key=lambda line: line["validation_error"])
    assert (best["validation_error"], best["validation_loss"]) == (found.figures["error"], found.loss)


def test_an_error_in_one_process_ends_all_with_its_line(tmp_path):
    ended = train(tmp_path, "--devices=2", BROKEN="1")
    assert (ended.returncode, ended.stderr) == (2, "ostinato: sums: expected better data\n")
