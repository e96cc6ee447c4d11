"""Writes a module as C."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from torch import nn

from ostinato.errors import ConfigError, told_kind
from ostinato.exporting.c.error import Sequences, WeightError, measure
from ostinato.exporting.c.mathematics import Mathematics
from ostinato.exporting.c.models import network_of
from ostinato.exporting.c.source import Source, SourceWriter, WorkName
from ostinato.exporting.c.text import check_name
from ostinato.exporting.c.weights import WeightsName


@dataclass(frozen=True)
class WrittenC:
    """A network that was written.

    Attributes:
        header: the file that its caller includes.
        body: the file that is compiled.
        state_bytes: of a `NAME_state`, which each sequence has.
        work_bytes: of the work area: beside the state, on the stack of a step, or within it.
        constant_bytes: of the weights, in read-only memory.
        error: what rounded weights cost; None where none are rounded.
    """

    header: Path
    body: Path
    state_bytes: int
    work_bytes: int
    constant_bytes: int
    error: WeightError | None


def write_c(
    module: nn.Module,
    name: str,
    folder: str | os.PathLike[str],
    *,
    weights: WeightsName = "float32",
    math: Mathematics = "libm",
    work: WorkName = "stack",
    inputs: Sequences | None = None,
    force: bool = False,
) -> WrittenC:
    """Writes a module as C99: `NAME.h` and `NAME.c`, of which nothing but a C compiler is needed.

    A step computes what the module does in evaluation, for one row: `NAME_reset(&state)`, then `NAME_step(&state, x, y)` for every
    step. Nothing is allocated; a `NAME_state` holds what a sequence has, so there may be any number of them.

    | module | x | y |
    | --- | --- | --- |
    | a recurrent layer | `(I,)`, and the cell's extras | the output, `(H,)` |
    | `LanguageModel` | a token | a score for each next token |
    | `Classifier` | `(I,)`, or a token | a score for each class, of the sequence so far |
    | `Tagger` | a token | a score for each tag; with a CRF its emissions, without the best path |
    | `Forecaster` | the last value, covariates | the parameters of the next value's distribution |

    Args:
        module: in evaluation mode, of one direction, of cells that the compiler takes.
        name: with which all public names begin: a C identifier.
        folder: where the files go; it is made if need be.
        weights: "float32"; or "int8", whole numbers from -127 to 127 with a scale for each row, of matrices alone.
        math: "libm" calls the functions of math.h; "own" has its own, whose errors the file tells, and needs no library at all.
        work: where the memory is that a step needs for itself, "stack" or "state".
        inputs: with int8, sequences on which the error is measured: each `(T, I)`, or `(T,)` of tokens or of a series; what comes
            beside it in a dictionary, `{"x": ..., "dt": ...}`. None for random ones.
        force: write over files that are there.

    Returns:
        The files, how much memory they need, and the error of rounded weights.

    Raises:
        ConfigError: the module has no C, with the reason, or an argument does not fit, or a file is there already.
    """
    if not isinstance(module, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"module expected a torch.nn.Module, got {told_kind(module)}")
    check_name(name)
    for what, given, known in (
        ("weights", weights, WeightsName),
        ("math", math, Mathematics),
        ("work", work, WorkName),
    ):
        if given not in get_args(known):
            raise ConfigError(f"{what} expected {' or '.join(get_args(known))}, got {given!r}")
    if inputs is not None and weights == "float32":
        raise ConfigError("inputs expected none with weights='float32', which are not rounded; leave them out")
    place = Path(folder)
    files = place / f"{name}.h", place / f"{name}.c"
    if there := [file for file in files if file.exists() and not force]:
        raise ConfigError(f"{there[0]} is there already; choose another folder or name, or say force to write over it")
    network = network_of(module, name, weights)
    source = SourceWriter(network, math, work).source()
    error = None
    if weights == "int8":
        error = measure(network_of(module, name, "float32"), network, inputs)
    _put(source, files)
    return WrittenC(*files, source.state_bytes, source.work_bytes, source.constant_bytes, error)


def _put(source: Source, files: tuple[Path, Path]) -> None:
    """Both files or none: whole before they have their names."""
    folder = files[0].parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{files[0].stem}.") as partial:
            for file, text in zip(files, (source.header, source.body), strict=True):
                Path(partial, file.name).write_text(text, encoding="utf-8")
            for file in files:
                os.replace(Path(partial, file.name), file)
    except OSError as error:
        raise ConfigError(
            f"{folder}: expected a folder to write into, got {error.strerror or error}; choose another"
        ) from error
