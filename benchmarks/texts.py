"""How long millions of texts, sentences or pairs take to read and to train on, and in how much memory.

    python -m benchmarks.texts make texts.csv                    # 5 million short texts of four classes
    python -m benchmarks.texts make pairs.tsv                    # 3 million pairs of sources and targets
    python -m benchmarks.texts make words.conll                  # 1 million tagged sentences
    python -m benchmarks.texts train classify texts.csv runs/texts --steps 300

Texts are made by formulas of their numbers, the same everywhere: words of a Zipf distribution, of which a class has
some of its own. Memory is what all processes hold beside files (anonymous pages), at its peak: mapped files do not
count, for the kernel takes their pages back. A table of a hundred rows (`make --rows 100`) shows what the packages take alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars

from benchmarks.data import family
from benchmarks.tables import drawn

ROWS = {".csv": 5_000_000, ".jsonl": 5_000_000, ".parquet": 5_000_000, ".tsv": 3_000_000, ".conll": 1_000_000}
WORDS, CLASSES, LONGEST = 50_000, 4, 14
_CHUNK_ROWS, _POLL_S = 50_000, 0.1


def ranks(begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Words of some rows, (N, LONGEST) from 0, the most frequent ones first; and how many each row has, (N,)."""
    rows = np.arange(begin, end)
    places = rows[:, None] * LONGEST + np.arange(LONGEST)
    word = np.floor(np.exp(drawn(places, 1) * np.log(WORDS))).astype(np.int64) - 1
    own = drawn(places, 2) < 0.2
    word = np.where(own, word - word % CLASSES + (rows % CLASSES)[:, None], word)
    return word, 3 + np.floor(drawn(rows, 3) * (LONGEST - 2)).astype(np.int64)


def texts(words: np.ndarray, lengths: np.ndarray, letter: str) -> list[str]:
    """Words as text, a letter before the number of each."""
    return [
        " ".join(f"{letter}{word}" for word in row[:length])
        for row, length in zip(words.tolist(), lengths.tolist(), strict=True)
    ]


def chunks(rows: int, suffix: str) -> Iterator[polars.DataFrame]:
    """A table in pieces: text and label; of pairs source and target."""
    for begin in range(0, rows, _CHUNK_ROWS):
        words, lengths = ranks(begin, min(begin + _CHUNK_ROWS, rows))
        left = texts(words, lengths, "w")
        if suffix == ".tsv":
            yield polars.DataFrame({"source": left, "target": texts(words, lengths, "v")})
        else:
            label = (np.arange(begin, begin + len(words)) % CLASSES).tolist()
            yield polars.DataFrame({"text": left, "label": [f"class {each}" for each in label]})


def make(path: Path, rows: int) -> None:
    """Writes the data: texts as .csv, .jsonl or .parquet, pairs as .tsv, tagged sentences as .conll."""
    if path.suffix == ".parquet":
        polars.concat(list(chunks(rows, path.suffix))).write_parquet(path)
        return
    with path.open("wb") as file:
        if path.suffix == ".conll":
            for begin in range(0, rows, _CHUNK_ROWS):
                words, lengths = ranks(begin, min(begin + _CHUNK_ROWS, rows))
                for row, length in zip(words.tolist(), lengths.tolist(), strict=True):
                    lines = "".join(f"w{word}\tT{word % CLASSES}\n" for word in row[:length])
                    file.write(f"{lines}\n".encode())
            return
        for at, chunk in enumerate(chunks(rows, path.suffix)):
            if path.suffix == ".jsonl":
                chunk.write_ndjson(file)
            elif path.suffix == ".tsv":
                chunk.write_csv(file, include_header=False, separator="\t")
            else:
                chunk.write_csv(file, include_header=at == 0)


@dataclass
class ReadAndTrained:
    """What watching a training found.

    Args:
        read_s: seconds until the data were read, the vocabulary learnt and the run begun; from the start of the process.
        read_bytes: the most memory up to then.
        peak_bytes: of the whole.
        steps_per_s: of training.
        again_s: seconds until the run, resumed, goes on.
        again_bytes: the most memory of that.
    """

    read_s: float = 0.0
    read_bytes: int = 0
    peak_bytes: int = 0
    steps_per_s: float = 0.0
    again_s: float = 0.0
    again_bytes: int = 0


def anonymous(pid: int) -> int:
    """Bytes of a process that no file holds."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:")), 0)


def _watch(command: list[str], done: Path, since: float) -> tuple[float, int, int]:
    """Runs a command to its end; seconds until a file was written anew, the most memory until then, and of the whole."""
    began, until, read, peak = time.monotonic(), 0.0, 0, 0
    process = subprocess.Popen(command)
    while process.poll() is None:
        peak = max(peak, sum(map(anonymous, family(process.pid))))
        if not until and done.exists() and done.stat().st_mtime > since:
            until, read = time.monotonic() - began, peak
        time.sleep(_POLL_S)
    if process.returncode:
        raise SystemExit(process.returncode)
    return until, read, peak


def train(task: str, data: str, run: Path, steps: int, options: list[str]) -> ReadAndTrained:
    """Trains a GRU of 64 units, and goes on for half as many steps."""
    command = [sys.executable, "-m", "ostinato", "train", task, "--data", data, "--run", str(run)]
    model = ["--model.cell", "gru", "--model.hidden_size", "64", "--training.batch_size", "64"]
    command += [*model, "--reading.validation_share", "0.002", "--reading.test_share", "0.002", *options]
    command += ["--training.log_every", "10", "--training.max_steps"]
    found = ReadAndTrained()
    config = run / "config.yaml"
    found.read_s, found.read_bytes, found.peak_bytes = _watch([*command, str(steps)], config, 0.0)
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = [each for each in metrics if "validation_loss" not in each and each["step"] > steps // 10]
    first, last = logged[0], logged[-1]
    found.steps_per_s = (last["step"] - first["step"]) / (last["elapsed_s"] - first["elapsed_s"])
    resumed = [*command, str(steps + steps // 2), "--resume"]
    found.again_s, found.again_bytes, _ = _watch(resumed, config, config.stat().st_mtime)
    return found


def main() -> None:
    """Makes data or trains on them, and prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("path", type=Path)
    making.add_argument("--rows", type=int)
    training = commands.add_parser("train")
    training.add_argument("task", choices=("classify", "tag", "translate"))
    training.add_argument("data")
    training.add_argument("run", type=Path)
    training.add_argument("--steps", type=int, default=300)
    given, options = parser.parse_known_args()
    if given.command == "make":
        make(given.path, given.rows or ROWS[given.path.suffix])
    else:
        print(json.dumps(asdict(train(given.task, given.data, given.run, given.steps, options)), indent=2))


if __name__ == "__main__":
    main()
