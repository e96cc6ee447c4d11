"""Kills runs at random moments and sees whether they end where the run ends that was never killed, bit for bit.

    python -m tests.training.kill_runs 50

A small language model, with everything on that a checkpoint must hold: dropout, documents, chunks of random lengths, k2 > k1,
averaged weights, accumulated gradients. It writes a checkpoint after every step, so that many kills hit one being written. Each
trial is a process that gets SIGKILL after a random time, is resumed, and is killed again up to twice. POSIX only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import lightning_fabric  # noqa: F401  # fit imports it late; here before the first process is forked
import numpy as np
import torch
import torch.utils.tensorboard

from ostinato.data import CharVocabulary, Streams, Tokens
from ostinato.models import LanguageModel
from ostinato.training import Progress, RunFolder, TrainingSettings, fit

TEXT = "the quick brown fox jumps over the lazy dog\n" * 20
LETTERS = CharVocabulary("".join(sorted(set(TEXT))))
SETTINGS = TrainingSettings(
    batch_size=4,
    chunk_length=8,
    backprop_length=13,
    vary_length=True,
    accumulate=2,
    learning_rate=2.0,  # so high that validation stands still now and then, and averaging begins on every processor
    schedule="constant",
    averaging="nt-asgd",
    averaging_patience=1,
    max_steps=60,
    evaluate_every=2,
    checkpoint_every=1,
    log_every=5,
)
KILLS = 3  # at most, in a trial


def streams(*, vary_length: bool = False) -> Streams:
    ids = LETTERS.encode(TEXT)
    starts = np.flatnonzero(np.roll(ids, 1) == LETTERS.encode("\n")[0])
    return Streams(Tokens(ids, starts, len(TEXT), 1), 4, 8, reset_at_documents=True, vary_length=vary_length)


def train(folder: Path) -> None:
    """Begins the run in `folder`, or goes on with it."""
    torch.manual_seed(0)
    module = LanguageModel(LETTERS, 6, 10, num_layers=2, dropout=0.3)
    run = RunFolder(folder)
    if not run.config_file.exists():
        run.create({})
    fit(
        module,
        streams(vary_length=True),
        lambda: iter(streams()),
        run=run,
        settings=SETTINGS,
        device="cpu",
        precision="32-true",
        resume=True,
        progress=Progress(quiet=True),
        sample=lambda: module.generate(length=5, seed=0),
    )


def start(folder: Path) -> int:
    """A process that trains; its number. Forked, so that it need not import anything."""
    child = os.fork()
    if child == 0:
        try:
            train(folder)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def end(folder: Path) -> float:
    """Trains to the end; the seconds that it took."""
    began = time.monotonic()
    _, status = os.waitpid(start(folder), 0)
    if status != 0:
        raise SystemExit(f"a run that nobody killed ended with status {status}")
    return time.monotonic() - began


def kill(child: int, wait_s: float) -> bool:
    """Kills a process after a while; whether it was still at work."""
    time.sleep(wait_s)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def left_behind(folder: Path) -> dict[str, object]:
    """All that a run leaves, to be compared byte for byte; the time it took is left out."""
    run = RunFolder(folder)
    newest = run.checkpoints.read()
    assert newest is not None
    assert newest.state["averaging"]["weights"] is not None  # or there is less to see than there should be
    (description,) = [run.checkpoints.folder / f"step-{run.checkpoints.steps()[-1]:09d}.json"]
    body = json.loads(description.read_text())
    tensors = (run.checkpoints.folder / body["tensors"]["file"]).read_bytes()
    counters = dict(dict(body["state"]["dict"])["counters"]["dict"])
    state = [[name, value] for name, value in body["state"]["dict"] if name != "counters"]
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    for timed in (counters, *lines):
        for name in ("elapsed_s", "tokens_per_s", "waiting_share"):
            timed.pop(name, None)
    return {
        "model.safetensors": run.model_file.read_bytes(),
        "tensors of the checkpoint": tensors,
        "checkpoint": json.dumps([counters, state]),
        "best": run.checkpoints.read_best().step,  # pyright: ignore[reportOptionalMemberAccess]
        "metrics.jsonl": json.dumps(lines),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("trials", type=int, nargs="?", default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        duration_s = min(end(place / folder) for folder in ("first", "second", "whole"))
        whole = left_behind(place / "whole")
        same = kills = in_writing = 0
        for trial in range(given.trials):
            folder, killed = place / f"trial-{trial}", 0
            while not killed:
                shutil.rmtree(folder, ignore_errors=True)  # of a trial whose first moment came after the end
                left_s = duration_s
                for _ in range(KILLS):
                    wait_s = draw.uniform(0.0, left_s)
                    left_s -= wait_s
                    killed += kill(start(folder), wait_s)
                    in_writing += any(folder.rglob(".*.tmp"))
            kills += killed
            end(folder)
            ended = left_behind(folder)
            same += ended == whole
            for what in whole:
                if ended[what] != whole[what]:
                    print(f"trial {trial}: {what} is another")
        print(f"a run takes {duration_s:.1f} s; {kills} kills, {in_writing} of them in the middle of writing a file")
        print(f"{same} of {given.trials} ended bit for bit like the run that was never killed")
    return 0 if same == given.trials else 1


if __name__ == "__main__":
    sys.exit(main())
