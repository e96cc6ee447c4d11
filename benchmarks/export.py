"""Exported layers in ONNX Runtime beside the layers themselves: `python -m benchmarks.export [--only NAME]`.

One thread each, in turns, medians. Of a `Scan` ONNX Runtime calls node after node in every time step: what counts is how many nodes
a step has, and how fast ONNX Runtime multiplies one row. `--int8` measures quantised models too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

import ostinato
from ostinato.exporting.onnx.quantise import quantise

STEPS, ROWS, INPUT, HIDDEN, ROUNDS = 100, (1, 32), 64, 128, 9
LAYERS: dict[str, Callable[[], Any]] = {
    "LSTM": lambda: ostinato.LSTM(INPUT, HIDDEN),
    "GRU": lambda: ostinato.GRU(INPUT, HIDDEN),
    "LSTM, layer norm": lambda: ostinato.LSTM(INPUT, HIDDEN, layer_norm=True),
    "LSTM, peepholes": lambda: ostinato.LSTM(INPUT, HIDDEN, peephole=True),
    "GRU, reset before": lambda: ostinato.GRU(INPUT, HIDDEN, reset_after=False),
    "LSTM, zoneout": lambda: ostinato.LSTM(INPUT, HIDDEN, zoneout=0.1),
    "RHN of depth 3": lambda: ostinato.RHN(INPUT, HIDDEN, depth=3),
    "minGRU": lambda: ostinato.MinGRU(INPUT, HIDDEN),
}
SAMPLE_S = 0.05


def seconds(call: Callable[[], Any]) -> float:
    """A call, of as many as take a sample's time."""
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < SAMPLE_S:
        call()
        count += 1
    return spent / count


def session(file: Path) -> Any:
    """ONNX Runtime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def compare(name: str, layer: Any, file: Path, with_int8: bool) -> None:
    """Prints a line for each number of rows."""
    operators = ostinato.export(layer, None, file, force=True).operators
    sessions = {"float32": session(file)}
    if with_int8:
        quantise(file)
        sessions["int8"] = session(file)
    for rows in ROWS:
        x = torch.randn(STEPS, rows, INPUT)
        for weights, theirs in sessions.items():
            calls = (partial(theirs.run, None, {"input": x.numpy()}), partial(layer, x))
            with torch.inference_mode():
                for call in calls:
                    call()
                pairs = [[seconds(call) for call in calls] for _ in range(ROUNDS)]
            ratio = statistics.median(a / b for a, b in pairs)
            ours = statistics.median(b for _, b in pairs) / STEPS * 1e6
            what = f"{name:20} {next(iter(operators)):5} {weights:8} B = {rows:2}"
            print(f"{what}: {ratio:5.2f} times ours ({ours:.1f} us a step)", flush=True)


def main(words: list[str]) -> int:
    """Measures all, or one."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.export", description="ONNX Runtime beside our layers, one thread each"
    )
    parser.add_argument("--only", choices=LAYERS, help="one of them")
    parser.add_argument("--int8", action="store_true", help="quantised models too")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        for name, make in LAYERS.items():
            if given.only in (None, name):
                compare(name, make().eval(), Path(folder) / "layer.onnx", given.int8)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
