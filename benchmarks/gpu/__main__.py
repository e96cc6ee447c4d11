"""GPUs: `python -m benchmarks.gpu` times them where there is one; `--ahead` compiles them for GPUs that are not here."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.gpu import ahead


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument(
        "--ahead", action="store_true", help="compile for GPUs that are not here, and tell what they need"
    )
    parser.add_argument("--cells", nargs="+", help='names, such as lstm or "lstm, all"; all without it')
    parser.add_argument("--hidden", nargs="+", type=int, default=list(ahead.HIDDEN))
    parser.add_argument("--dtypes", nargs="+", choices=list(ahead.DTYPES), default=list(ahead.DTYPES))
    parser.add_argument("--targets", nargs="+", default=list(ahead.TARGETS), help="sm_80, sm_86, sm_89, sm_90")
    parser.add_argument(
        "--out", type=Path, default=None, help="a file of JSON lines; what is in it already is not done again"
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="how long timings may take")
    given = parser.parse_args()
    if not given.ahead:
        from benchmarks.gpu import timing

        raise SystemExit(timing.main(given.minutes, given.out or Path("gpu.json")))
    file = given.out or Path("gpu_ahead.jsonl")
    known = {row.key for row in ahead.read(file)}
    with file.open("a", encoding="utf-8") as out:
        for row in ahead.rows(given.cells, given.hidden, given.dtypes, given.targets, known):
            print(json.dumps(asdict(row)), file=out, flush=True)
    found = ahead.read(file)
    print(ahead.table(found))
    print(ahead.summary(found))


if __name__ == "__main__":
    main()
