"""How an elastic run goes on when its processes are killed: `python -m benchmarks.elastic`.

Five times, at random, a worker of a run of two gets SIGKILL. Each time is measured from the kill until the next line of metrics. A
second run is killed and resumed by hand at the same steps. All that both have measured, but for what the clock says, and the models
of both must be the same to the last bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import family

CLOCK = ("elapsed_s", "tokens_per_s", "waiting_share")
_OSTINATO = (sys.executable, "-m", "ostinato")
_PATIENCE_S = 600.0
_POLL_S = 0.02
# The losses of each depend on all before: dropout, momenta, truncated BPTT with k2 > k1, averages of the weights.
_SETTINGS = {
    "device": "cpu",
    "precision": "32-true",
    "model.hidden_size": 24,
    "model.embedding_size": 12,
    "model.dropout": 0.2,
    "baselines.markov_orders": 0,
    "baselines.window": 0,
    "training.batch_size": 8,
    "training.chunk_length": 8,
    "training.backprop_length": 11,
    "training.averaging": "ema",
    "training.keep_checkpoints": 1_000_000,
    "training.log_every": 5,
}


@dataclass(frozen=True)
class Kill:
    """One death.

    Attributes:
        worker: the number of the process.
        at_step: the last step that was logged before.
        kept_step: the run went on from this one.
        seconds: from the death to the first line of metrics after it.
    """

    worker: int
    at_step: int
    kept_step: int
    seconds: float


@dataclass(frozen=True)
class Found:
    """What the two runs have in common.

    Attributes:
        kills: of the run that goes on by itself.
        lines: of its metrics.
        differences: where the run that was resumed by hand differs.
    """

    kills: list[Kill]
    lines: int
    differences: list[str]


class Run:
    """A run of `ostinato train lm`, from outside.

    Args:
        folder: of the run.
        words: of the command, but for the folder.
    """

    def __init__(self, folder: Path, words: Sequence[str]):
        self.folder = folder
        self._words = [*_OSTINATO, "train", "lm", "--run", str(folder), "--quiet", *words]

    @contextmanager
    def going(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Starts it; when left, nothing of it is left."""
        with subprocess.Popen(
            [*self._words, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:
            try:
                yield process
            finally:
                for pid in family(process.pid):
                    _kill(pid)

    def lines(self) -> list[dict[str, Any]]:
        """What it has measured."""
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]

    def measured(self) -> list[dict[str, Any]]:
        """But for what the clock says."""
        return [{name: value for name, value in line.items() if name not in CLOCK} for line in self.lines()]

    def steps(self) -> list[int]:
        """Of its checkpoints."""
        return sorted(int(file.stem.removeprefix("step-")) for file in (self.folder / "state").glob("step-*.json"))

    def log(self) -> tuple[int, int]:
        """Which file its metrics are in, and how long that is. A process that goes on writes it anew."""
        try:
            found = (self.folder / "metrics.jsonl").stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_size


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _until(condition: Any, process: subprocess.Popen[str]) -> None:
    """Waits.

    Raises:
        RuntimeError: the process has ended, or it takes too long.
    """
    until = time.monotonic() + _PATIENCE_S
    while not condition():
        if process.poll() is not None or time.monotonic() > until:
            said = process.stderr.read() if process.poll() is not None and process.stderr is not None else "too slow"
            raise RuntimeError(f"the run has not gone on ({process.poll()}): {said}")
        time.sleep(_POLL_S)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes that it has started, by number."""
    return sorted(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


def kill_and_watch(run: Run, count: int, longest_s: float, chance: random.Random) -> list[Kill]:
    """Lets it go to its end, and kills workers on the way."""
    deaths: list[tuple[int, int, float]] = []
    with run.going("--elastic=1:1", f"--max-restarts={count}") as process:
        for _ in range(count):
            file, size = run.log()
            _until(lambda size=size: run.log()[1] > size, process)
            time.sleep(chance.uniform(0.0, longest_s))
            workers = workers_of(process)
            worker = chance.randrange(len(workers))
            at, began = run.lines()[-1]["step"], time.monotonic()
            file = run.log()[0]
            os.kill(workers[worker], signal.SIGKILL)
            _until(lambda file=file: run.log()[0] != file, process)
            size = run.log()[1]
            _until(lambda size=size: run.log()[1] > size, process)
            deaths.append((worker, at, time.monotonic() - began))
        _, errors = process.communicate(timeout=_PATIENCE_S)
        if process.returncode != 0:
            raise RuntimeError(f"the run has ended with {process.returncode}: {errors}")
    kept = [int(step or 0) for step in re.findall(r"going on from (?:step (\d+)|the beginning)", errors)]
    return [Kill(*death[:2], step, death[2]) for death, step in zip(deaths, kept, strict=True)]


def resume_by_hand(run: Run, steps: Sequence[int]) -> None:
    """Lets it go to its end, and goes on from each of the steps, as a person does after a kill."""
    again: list[str] = []
    for step in steps:
        with run.going(*again) as process:
            _until(lambda step=step: any(each >= step for each in run.steps()) and run.log()[1] > 0, process)
        for file in (run.folder / "state").glob("step-*.json"):
            if int(file.stem.removeprefix("step-")) > step:
                file.unlink()
        again = ["--resume"]
    with run.going(*again) as process:
        _, errors = process.communicate(timeout=_PATIENCE_S)
        if process.returncode != 0:
            raise RuntimeError(f"the run that was resumed by hand has ended with {process.returncode}: {errors}")


def compare(folder: Path, *, kills: int, steps: int, every: int, longest_s: float, seed: int) -> Found:
    """Both runs, in `folder`.

    Args:
        folder: for the text and the runs.
        kills: how many.
        steps: of each run.
        every: steps from a checkpoint to the next.
        longest_s: a kill comes at most so many seconds after training has begun or gone on.
        seed: of when and whom.
    """
    text = folder / "text.txt"
    text.write_text("".join(f"{a} times {b} is {a * b}, " for a in range(2, 40) for b in range(2, 20)))
    settings = {
        **_SETTINGS,
        "data": text,
        "devices": 2,
        "training.max_steps": steps,
        "training.evaluate_every": steps // 2,
        "training.checkpoint_every": every,
    }
    words = [f"--{name}={value}" for name, value in settings.items()]
    by_itself, by_hand = Run(folder / "by_itself", words), Run(folder / "by_hand", words)
    found = kill_and_watch(by_itself, kills, longest_s, random.Random(seed))
    resume_by_hand(by_hand, [each.kept_step for each in found])
    left, right = by_itself.measured(), by_hand.measured()
    differences = [
        f"line {number}: {a} and {b}" for number, (a, b) in enumerate(zip(left, right, strict=False), 1) if a != b
    ]
    if len(left) != len(right):
        differences.append(f"{len(left)} and {len(right)} lines of metrics")
    models = [(run.folder / "model.safetensors").read_bytes() for run in (by_itself, by_hand)]
    if models[0] != models[1]:
        differences.append("the models")
    return Found(found, len(left), differences)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what was measured. Returns 1 where a run took more than a minute to go on, or the two differ."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.elastic", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--every", type=int, default=100, help="steps from a checkpoint to the next")
    parser.add_argument("--longest-s", type=float, default=8.0, help="until the next kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder), **vars(given))
    print("| killed | at step | went on from | after |\n| --- | --- | --- | --- |")
    for kill in found.kills:
        print(f"| worker {kill.worker} | {kill.at_step} | {kill.kept_step} | {kill.seconds:.1f} s |")
    print(
        f"\n{found.lines} lines of metrics and the model: "
        + ("the same as resumed by hand" if not found.differences else "differ")
    )
    print(*found.differences[:5], sep="\n")
    return int(bool(found.differences) or any(kill.seconds > 60.0 for kill in found.kills))


if __name__ == "__main__":
    sys.exit(main())
