"""Timings on a CUDA device: what the compiler makes beside cuDNN, the reference loop, and torch.compile of it.

First the tests marked gpu run; what fails is told, and is timed all the same. All times are medians, interleaved.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, sigmoid, tanh

import ostinato
from ostinato import Recurrent, State, backend, cell, explain
from ostinato.kernels.gpu.run.ways import way

SIZES = ((1024, 16, 768, 768), (512, 64, 512, 512), (128, 256, 256, 256), (100, 32, 1024, 1024), (784, 128, 1, 128))
DTYPES = (torch.bfloat16, torch.float32)


@cell(gates="f h", states="h", write="f", source="Zhou et al. 2016")
def minimal_gated_unit(x: Any, s: Any, U: Any) -> State:
    f = sigmoid(x.f + U.only("f")(s.h).f)
    candidate = tanh(x.h + U.only("h")(f * s.h).h)
    return State(h=(1 - f) * s.h + f * candidate)


LAYERS: dict[str, Callable[..., Recurrent]] = {
    "LSTM": ostinato.LSTM,
    "GRU": ostinato.GRU,
    "LSTM, layer norm": lambda *sizes, **more: ostinato.LSTM(*sizes, layer_norm=True, **more),
    "LSTM, zoneout and variational": lambda *sizes, **more: ostinato.LSTM(
        *sizes, zoneout=0.1, variational_dropout=(0.0, 0.2, 0.0), **more
    ),
    "a user's own": lambda *sizes, **more: Recurrent(minimal_gated_unit, *sizes, **more),
    "RHN, depth 4": lambda *sizes, **more: ostinato.RHN(*sizes, depth=4, **more),
    "minGRU": ostinato.MinGRU,
}


@dataclass(frozen=True)
class Timed:
    """One figure.

    Attributes:
        layer: of `LAYERS`.
        sizes: T, B, I, H.
        dtype: of everything.
        mode: "training", forward and backward, or "inference".
        subject: what ran.
        milliseconds: the median.
        to_cudnn: that of cuDNN's plain LSTM in it; None where that did not run.
        said: what `explain` says, or the error.
    """

    layer: str
    sizes: tuple[int, int, int, int]
    dtype: str
    mode: str
    subject: str
    milliseconds: float | None
    to_cudnn: float | None
    said: str


def main(minutes: float, out: Path) -> int:
    """Run all of it within so many minutes. Returns the exit status."""
    if not torch.cuda.is_available():
        print("benchmarks.gpu expected a CUDA device, and torch sees none here; --ahead compiles without one")
        return 2
    end = time.monotonic() + 60 * minutes
    about = {
        "device": torch.cuda.get_device_name(),
        "capability": list(torch.cuda.get_device_capability()),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "python": sys.version.split()[0],
    }
    print(about, flush=True)
    tests = _tests(60 * minutes / 3)
    print(f"tests marked gpu: {tests}", flush=True)
    rows: list[Timed] = []
    for row in _rows(end):
        rows.append(row)
        print(_line(row), flush=True)
        out.write_text(json.dumps({"about": about, "tests": tests, "rows": [asdict(r) for r in rows]}, indent=1))
    print(
        "\n".join(
            [
                "| layer | T, B, I, H | dtype | mode | what | ms | to cuDNN's LSTM |",
                "| --- " * 7 + "|",
                *map(_line, rows),
            ]
        )
    )
    return 0


def _line(row: Timed) -> str:
    time_s = "failed" if row.milliseconds is None else f"{row.milliseconds:.3f}"
    ratio = "" if row.to_cudnn is None else f"{row.to_cudnn:.2f}"
    return f"| {row.layer} | {row.sizes} | {row.dtype} | {row.mode} | {row.subject} | {time_s} | {ratio} |"


def _tests(limit_s: float) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "tests"],
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not finished: {type(error).__name__}"
    return " ".join(done.stdout.strip().splitlines()[-8:])[-2000:]


def _rows(end: float) -> Iterator[Timed]:
    """The plain LSTM in bfloat16 first, for it is what the others are measured by."""
    for dtype in DTYPES:
        for sizes in SIZES:
            for name in LAYERS:
                for mode in ("training", "inference"):
                    if time.monotonic() > end:
                        return
                    yield from _case(name, sizes, dtype, mode, end)


def _case(name: str, sizes: tuple[int, int, int, int], dtype: torch.dtype, mode: str, end: float) -> Iterator[Timed]:
    steps, rows, inputs, hidden = sizes
    torch.manual_seed(0)
    cudnn = torch.nn.LSTM(inputs, hidden, device="cuda", dtype=dtype)
    layer = LAYERS[name](inputs, hidden, device="cuda", dtype=dtype)
    x = torch.randn(steps, rows, inputs, device="cuda", dtype=dtype, requires_grad=mode == "training")
    subjects: dict[str, tuple[Callable[[], Any], str]] = {"cuDNN's LSTM": (_runner(cudnn, x, mode), "")}
    for kind in ("auto", "persistent", "steps"):
        subjects[f"triton, {kind}"] = _with(layer, x, mode, "triton", kind), _said(layer, x)
    is_first = sizes == SIZES[2]
    if is_first or name == "LSTM":
        subjects["reference"] = _with(layer, x, mode, "reference", "auto"), ""
    if is_first and mode == "inference":  # unrolled over time, it takes minutes to compile
        subjects["reference, torch.compile"] = (
            _with(torch.compile(_Short(layer)), x[:16], mode, "reference", "auto"),
            "",
        )
    times: dict[str, list[float]] = {}
    errors: dict[str, str] = {}
    for round_ in range(6):
        for subject, (run, _) in subjects.items():
            if subject in errors or (time.monotonic() > end and round_ > 1):
                continue
            if subject.startswith("reference") and round_ > 2:
                continue
            try:
                took = _timed(run)
            except Exception as error:  # the others are to be timed all the same
                errors[subject] = f"{type(error).__name__}: {error}"[:300]
                continue
            if round_:  # the first compiles
                times.setdefault(subject, []).append(took)
    base = statistics.median(times["cuDNN's LSTM"]) if "cuDNN's LSTM" in times else None
    for subject, (_, said) in subjects.items():
        median = statistics.median(times[subject]) if subject in times else None
        ratio = None if median is None or base is None else median / base
        short = str(dtype).removeprefix("torch.")
        yield Timed(name, sizes, short, mode, subject, median, ratio, errors.get(subject, said))


class _Short(torch.nn.Module):
    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        return self.layer(x)


def _runner(layer: Any, x: Tensor, mode: str) -> Callable[[], Any]:
    parameters = [p for p in layer.parameters() if p.requires_grad]

    def training() -> Any:
        output = layer(x)[0]
        return torch.autograd.grad(output, [*parameters, x] if x.requires_grad else parameters, output.detach())

    def inference() -> Any:
        with torch.no_grad():
            return layer(x)[0]

    return training if mode == "training" else inference


def _with(layer: Any, x: Tensor, mode: str, by: str, kind: str) -> Callable[[], Any]:
    run = _runner(layer, x, mode)

    def forced() -> Any:
        with backend(by), way(kind):
            return run()

    return forced


def _said(layer: Recurrent, x: Tensor) -> str:
    try:
        with backend("triton"):
            return str(explain(layer, x.detach()))
    except Exception as error:  # told with the timing, which fails too
        return f"{type(error).__name__}: {error}"[:300]


def _timed(run: Callable[[], Any]) -> float:
    """Milliseconds of one call, of several in a row."""
    run()
    torch.cuda.synchronize()
    began = time.perf_counter()
    run()
    torch.cuda.synchronize()
    count = max(1, min(20, int(0.03 / max(1e-6, time.perf_counter() - began))))
    began = time.perf_counter()
    for _ in range(count):
        run()
    torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - began) / count
