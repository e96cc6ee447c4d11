"""The model of a run in a folder: ONNX graphs, constants for using them, a card that describes them, and a runner."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.errors import DataError, OstinatoError
from ostinato.exporting.onnx import Written, write
from ostinato.exporting.onnx.nodes import OPSET
from ostinato.exporting.onnx.quantise import quantise
from ostinato.recipes.exporting.exported import Exported, runner_file
from ostinato.recipes.exporting.whole_folder import CARD, whole_folder
from ostinato.recipes.trained import Trained
from ostinato.version import __version__

CONSTANTS, ARRAYS, RUNNER = "constants.json", "constants.npz", "run.py"
_FORMAT = "ostinato.onnx"
_NO_EXPORT = "no export, and --force writes over exports only"
_SIZES = {"T": "time steps, at least 1", "B": "rows, at least 1"}
Say = Callable[[str], None]


def export_run(
    trained: Trained[Any, Any, Any, Any],
    folder: Path,
    *,
    weights: str | None = None,
    force: bool = False,
    say: Say = print,
) -> None:
    """Writes the folder, complete or not at all.

    Args:
        trained: the model of a run.
        folder: the folder to write; missing folders above it are made.
        weights: "int8" for weights in 8 bits, by ONNX Runtime's dynamic quantisation; None to leave them unchanged.
        force: overwrite an export.
        say: prints a line for people.

    Raises:
        ConfigError: the folder exists; or it is no export, although `force` is set; or the task has no export; or see
            `write`.
        CellError: a cell has no form in ONNX.
        ModelError: a graph computes something else than its module.
    """
    with whole_folder(folder, _FORMAT, _NO_EXPORT, force=force) as partial:
        _fill(partial, trained, trained.task.exported(trained), weights, say)
    say(f"{folder}: python {folder / RUNNER} --help")


def _fill(
    folder: Path, trained: Trained[Any, Any, Any, Any], exported: Exported, weights: str | None, say: Say
) -> None:
    written = {graph.name: write(graph, folder / f"{graph.name}.onnx") for graph in exported.graphs}
    for name, each in written.items():
        ports = ", ".join(f"{port.name}{_axes(port.axes)}" for port in each.inputs)
        recurrent = ", ".join(f"{count} {op}" for op, count in each.operators.items()) or "no loop"
        rounding = (
            ""
            if each.difference.rounding is None
            else f" (float32 itself is {each.difference.rounding:.0e} from float64)"
        )
        say(f"{name}.onnx: {ports}; {recurrent}; at most {each.difference.largest:.0e} from the run's model{rounding}")
    _write_json(folder / CONSTANTS, exported.constants)
    if exported.arrays:
        arrays: dict[str, Any] = dict(exported.arrays)
        np.savez(folder / ARRAYS, **arrays)
    for name, to in ((exported.runner, RUNNER), *((each, each) for each in exported.beside)):
        shutil.copyfile(runner_file(name), folder / to)
    card = _card(trained, written)
    _write_json(folder / CARD, card)
    if weights is not None:
        _write_json(folder / CARD, card | _narrowed(folder, trained, exported, card, say))


def _card(trained: Trained[Any, Any, Any, Any], written: Mapping[str, Written]) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": 1,
        "ostinato": __version__,
        "task": trained.task.name,
        "opset": OPSET,
        "weights": "float32",
        "sizes": _SIZES,
        "graphs": {
            name: {
                "file": each.path.name,
                "inputs": _described(each.path, "inputs", each.inputs),
                "outputs": _described(each.path, "outputs", each.outputs),
                "difference": each.difference.largest,
            }
            for name, each in written.items()
        },
    }


def _described(file: Path, which: str, ports: Any) -> list[dict[str, Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found = session.get_inputs() if which == "inputs" else session.get_outputs()
    dtypes = {each.name: each.type.removeprefix("tensor(").removesuffix(")") for each in found}
    dtypes = {name: {"float": "float32", "double": "float64"}.get(dtype, dtype) for name, dtype in dtypes.items()}
    return [
        {"name": port.name, "shape": list(port.axes), "dtype": dtypes[port.name], "about": port.about} for port in ports
    ]


def _narrowed(
    folder: Path, trained: Trained[Any, Any, Any, Any], exported: Exported, card: Mapping[str, Any], say: Say
) -> dict[str, Any]:
    """Quantises the graphs, and reports what that costs."""
    files = [folder / graph["file"] for graph in card["graphs"].values()]
    sizes = [sum(file.stat().st_size for file in files)]
    figures = [_figures(folder, exported, say)]
    for file in files:
        quantise(file)
    sizes.append(sum(file.stat().st_size for file in files))
    figures.append(_figures(folder, exported, say))
    before, after = figures
    say(f"int8 weights: {sizes[0]:,} bytes to {sizes[1]:,}")
    for name in before:
        say(f"validation {name.replace('_', ' ')}: {before[name]:.4g} in float32, {after[name]:.4g} in int8")
    return {"weights": "int8", "bytes": sizes, "validation": {"float32": before, "int8": after}}


def _figures(folder: Path, exported: Exported, say: Say) -> dict[str, float]:
    """The runner's figures on validation data; empty if the data cannot be read any more."""
    try:
        with runner(folder) as module:
            return dict(exported.judge(module.Model(folder)))
    except (DataError, OSError) as error:
        say(f"validation data cannot be read, so that no figure is told: {' '.join(str(error).split())}")
        return {}


@contextmanager
def runner(folder: Path) -> Iterator[Any]:
    """Imports run.py of an export; modules that it imports from its folder are unloaded afterwards."""
    spec = importlib.util.spec_from_file_location(f"ostinato_run_{abs(hash(folder))}", folder / RUNNER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, was_writing = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # so that the folder gets no __pycache__
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = was_writing
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


def _axes(axes: tuple[str | int, ...]) -> str:
    return f" ({', '.join(map(str, axes))})"


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


__all__ = ["ARRAYS", "CARD", "CONSTANTS", "RUNNER", "OstinatoError", "export_run", "runner"]
