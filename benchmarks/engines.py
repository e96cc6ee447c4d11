"""Many workers beside one process, though one of them is killed; and a sweep that two groups share, one of which is killed.

    python -m benchmarks.engines predict work/          # Ray with two workers beside one process, of one thread and of all
    python -m benchmarks.engines sweep work/            # 12 trials on one Redis

Texts are drawn by the numbers of their rows. What a command takes before and after its work is measured apart: the same command
where no partition is missing, and one process on ten rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.data import family
from ostinato.recipes.sweep.slots import slots_of
from ostinato.recipes.sweep.space import read_space
from ostinato.recipes.sweep.storage import Shared, open_study

ROWS, TRIALS = 60_000, 12
_OSTINATO = (sys.executable, "-m", "ostinato")
_WORDS: tuple[str, ...] = (
    "film",
    "story",
    "actor",
    "scene",
    "was",
    "is",
    "very",
    "quite",
    "the",
    "a",
    "of",
    "in",
    "long",
    "short",
)
_SAID = {"good": ("great", "fine", "fun"), "bad": ("dull", "awful", "poor")}
_POLL_S = 0.02
_LEASE_S = 5.0


def write_texts(path: Path, rows: int) -> None:
    """A table of texts of 5 to 60 words."""
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for row in range(rows):
            draw = random.Random(row)
            label = draw.choice(sorted(_SAID))
            words: list[str] = draw.choices(_WORDS, k=draw.randint(4, 59))
            words.insert(draw.randrange(len(words)), draw.choice(_SAID[label]))
            file.write(f"{' '.join(words)} {row},{label}\n")


def run(*words: str, threads: int | None = None) -> float:
    """Seconds that a command takes."""
    environment = dict(os.environ)
    environment.pop("OMP_NUM_THREADS", None)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    began = time.monotonic()
    subprocess.run([*_OSTINATO, *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def workers_of(pid: int) -> list[int]:
    """The processes of Ray below a command that answer."""
    found = []
    for each in family(pid):
        try:
            name = Path(f"/proc/{each}/cmdline").read_bytes()
        except OSError:
            continue
        if name.startswith(b"ray::Worker.do"):
            found.append(each)
    return found


def run_and_kill(output: Path, *words: str) -> float:
    """Seconds that a command takes, one of whose workers is killed when a third of the partitions is there."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    began, killed = time.monotonic(), None
    process = subprocess.Popen([*_OSTINATO, *words], env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        there = len(list(output.glob("part-*"))) if output.is_dir() else 0
        if killed is None and there >= 4 and (workers := workers_of(process.pid)):
            killed = workers[0]
            os.kill(killed, signal.SIGKILL)
        time.sleep(_POLL_S)
    if process.returncode or killed is None:
        raise SystemExit(f"the command ended with {process.returncode}; killed: {killed}")
    return time.monotonic() - began


def predict(place: Path, rows: int, hidden: int) -> dict[str, Any]:
    """Ray beside one process."""
    place.mkdir(parents=True, exist_ok=True)
    table, few, trained = place / "texts.csv", place / "few.csv", place / "run"
    write_texts(table, rows)
    write_texts(few, 10)
    if not trained.exists():
        some = place / "train.csv"
        write_texts(some, 2000)
        size = ("--model.hidden_size", str(hidden), "--model.num_layers", "2", "--training.max_steps", "40")
        run("train", "classify", "--data", str(some), "--run", str(trained), "--quiet", "--device", "cpu", *size)
    many = ("--engine", "ray", "--workers", "2", "--device", "cpu")
    found: dict[str, Any] = {"rows": rows, "hidden": hidden}
    for name, threads in (("one_thread", 1), ("all_cores", None)):
        output = place / f"{name}.jsonl"
        found[f"{name}_start_s"] = run(
            "predict", str(trained), str(few), "--output", str(place / "few.jsonl"), threads=threads
        )
        found[f"{name}_s"] = run("predict", str(trained), str(table), "--output", str(output), threads=threads)
    for name, how in (("ray", run), ("ray_killed", None)):
        output = place / f"{name}.jsonl"
        shutil.rmtree(output, ignore_errors=True)
        words = ("predict", str(trained), str(table), "--output", str(output), *many)
        found[f"{name}_s"] = run(*words) if how else run_and_kill(output, *words)
        found["ray_start_s"] = run(*words)  # where nothing is missing
        mine = b"".join(part.read_bytes() for part in sorted(output.glob("part-*")))
        found[f"{name}_is_equal"] = mine == (place / "one_thread.jsonl").read_bytes()
    for name in ("one_thread", "all_cores"):
        work = found[f"{name}_s"] - found[f"{name}_start_s"]
        for ray in ("ray", "ray_killed"):
            found[f"{ray}_by_{name}"] = found[f"{name}_s"] / found[f"{ray}_s"]
            found[f"{ray}_by_{name}_without_start"] = work / (found[f"{ray}_s"] - found["ray_start_s"])
    return found


@contextmanager
def redis(place: Path) -> Iterator[str]:
    """The address of a Redis of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(place)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def sweep(place: Path, trials: int) -> dict[str, Any]:
    """Two groups of two processes on one study; the first is killed as soon as a third of the trials has ended."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    write_texts(place / "texts.csv", 1000)
    file = place / "space.yaml"
    base = "{data: texts.csv, model: {hidden_size: 16, embedding_size: 16}, training: {max_steps: 60}, device: cpu}"
    space = "{training.learning_rate: {log: [1e-4, 1e-1]}, model.dropout: {range: [0.0, 0.5]}}"
    file.write_text(f"task: classify\nbase: {base}\nspace: {space}\ntrials: {trials}\npruner: none\n")
    with redis(place) as url:
        words = [*_OSTINATO, "sweep", "space.yaml", "--study", "s", "--storage", url, "--lease", str(_LEASE_S)]
        began = time.monotonic()
        groups = [
            subprocess.Popen([*words, "--jobs", "2", "--folder", name], cwd=place, stdout=subprocess.DEVNULL)
            for name in ("first", "second")
        ]
        while "sweep.yaml" not in os.listdir(place / "first" if (place / "first").is_dir() else place):
            time.sleep(_POLL_S)
        os.chdir(place)  # where the space says that its data are
        study = open_study(read_space("space.yaml"), place, Shared(url, "s"))
        while sum(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False)) < trials // 3:
            time.sleep(0.2)
        gone = family(groups[0].pid)
        for pid in gone:
            os.kill(pid, signal.SIGKILL)
        killed_s = time.monotonic() - began
        groups[0].wait()
        status = groups[1].wait()
        slots = slots_of(study.get_trials(deepcopy=False))
        ended = [sum(trial.state.name == "COMPLETE" for trial in found) for found in slots.values()]
        drawn = {tuple(sorted(found[-1].params.items())) for found in slots.values()}
        return {
            "trials": trials,
            "status": status,
            "processes_killed": len(gone),
            "killed_after_s": killed_s,
            "seconds": time.monotonic() - began,
            "slots": len(slots),
            "ended_once": ended.count(1),
            "taken_up": sum(len(found) > 1 for found in slots.values()),
            "different": len(drawn),
        }


def main() -> None:
    """Measures, and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("predict", "sweep"):
        commands.add_parser(name).add_argument("place", type=Path, help="a folder to work in")
    commands.choices["predict"].add_argument("--rows", type=int, default=ROWS)
    commands.choices["predict"].add_argument("--hidden", type=int, default=256)
    commands.choices["sweep"].add_argument("--trials", type=int, default=TRIALS)
    given = parser.parse_args()
    place = given.place.absolute()
    found = predict(place, given.rows, given.hidden) if given.command == "predict" else sweep(place, given.trials)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
