"""How fast a large text is tokenised, in how much memory, and whether training waits for it.

    python -m benchmarks.data --gigabytes 2 --kind char

It writes a text of that size into a temporary folder, trains a small model on it with the command of the package and watches its
processes. Memory is what they hold together: the sum of their proportional shares (PSS), in which a page that several share counts
once, at its peak. Pages of files that are mapped count too, though the kernel takes them back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ostinato.data.sources.text import find_text
from ostinato.data.tokens.token_file import stored_about

_POLL_S = 0.05


@dataclass
class Measured:
    """What the watching found.

    Args:
        tokenised_s: seconds from the first look into the text until the token file was whole.
        total_s: of the whole.
        peak_bytes: of all processes together.
        peak_tokenising_bytes: the same, until the token file was whole.
    """

    tokenised_s: float = 0.0
    total_s: float = 0.0
    peak_bytes: int = 0
    peak_tokenising_bytes: int = 0


def write_text(path: Path, size: int) -> None:
    """About `size` bytes: the built-in text over and over, each time with other numbers in it."""
    sample = "".join(piece.text for piece in find_text().pieces())
    written, turn = 0, 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            content = sample.replace("self", f"self{turn}")
            file.write(content)
            written += len(content.encode())
            turn += 1


def watch(command: list[str], data: Path, run: Path) -> Measured:
    """Runs a command to its end."""
    measured, began, opened = Measured(), time.monotonic(), None
    process = subprocess.Popen(command)
    while process.poll() is None:
        memory = sum(map(memory_of, family(process.pid)))
        measured.peak_bytes = max(measured.peak_bytes, memory)
        if opened is None and _has_open(process.pid, data):
            opened = time.monotonic()
        if not measured.tokenised_s and opened is not None:
            measured.peak_tokenising_bytes = measured.peak_bytes
            if stored_about(run) is not None:
                measured.tokenised_s = time.monotonic() - opened
        time.sleep(_POLL_S)
    if process.returncode:
        raise SystemExit(process.returncode)
    measured.total_s = time.monotonic() - began
    return measured


def family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in family(int(child)))]


def _has_open(pid: int, path: Path) -> bool:
    try:
        return any(os.path.samefile(file, path) for file in Path(f"/proc/{pid}/fd").iterdir() if file.exists())
    except OSError:
        return False


def memory_of(pid: int, kind: str = "Pss") -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{kind}:")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--kind", choices=("char", "byte", "word", "bpe"), default="char")
    parser.add_argument("--seconds", type=float, default=20.0, help="to train")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder) / "text.txt", Path(folder) / "run"
        write_text(data, int(given.gigabytes * 1e9))
        size = data.stat().st_size
        command = [sys.executable, "-m", "ostinato.cli.main", "train", "lm", "--data", str(data), "--run", str(run)]
        options = {"tokens.kind": given.kind, "model.hidden_size": 256, "training.batch_size": 32}
        options |= {"baselines.markov_orders": 0, "baselines.window": 0, "training.max_time_s": given.seconds}
        measured = watch(
            [*command, *(word for name, value in options.items() for word in (f"--{name}", str(value)))], data, run
        )
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        waiting = [line["waiting_share"] for line in lines if "waiting_share" in line]
    print(
        json.dumps(
            {
                "text_bytes": size,
                "kind": given.kind,
                "cores": len(os.sched_getaffinity(0)),
                "tokenising_mb_per_s": round(size / 1e6 / measured.tokenised_s, 1),
                "peak_tokenising_mb": round(measured.peak_tokenising_bytes / 1e6),
                "peak_mb": round(measured.peak_bytes / 1e6),
                "waiting_share": round(waiting[-1], 5),
                "total_s": round(measured.total_s, 1),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
