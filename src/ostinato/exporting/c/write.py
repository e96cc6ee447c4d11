"""`write_c`: write a module as C."""

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
        header: the header, which callers include.
        body: the source, which is compiled.
        state_bytes: the size of a `NAME_state`; each sequence has one. It includes the work area if `work` is "state".
        work_bytes: the size of the work area, on the stack during a step or in the state.
        constant_bytes: the size of the weights, in read-only memory.
        error: the error from rounded weights; None if weights are not rounded.
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
    """Write a module as C99: `NAME.h` and `NAME.c`, which need nothing but a C compiler.

    A step computes what the module computes in evaluation, for one row: call `NAME_reset(&state)`, then
    `NAME_step(&state, x, y)` for every step. The code allocates nothing. A `NAME_state` holds the state of one
    sequence; there may be any number of them.

    | module | x | y |
    | --- | --- | --- |
    | a recurrent layer | `(I,)`, and the cell's extras | the output, `(H,)` |
    | `LanguageModel` | a token | a score for each next token |
    | `Classifier` | `(I,)`, or a token | a score for each class, of the sequence so far |
    | `Tagger` | `(I,)`, or a token | a score for each tag; for a CRF the emissions, without the best path |
    | `Forecaster` | the last value, covariates | the parameters of the next value's distribution |

    Args:
        module: a module in evaluation mode, of one direction, with cells that the compiler supports.
        name: the beginning of all public names, a C identifier.
        folder: the folder for the files; it is created if it does not exist.
        weights: "float32"; or "int8", which stores matrices as whole numbers from -127 to 127 with a scale for each
            row.
        math: "libm" calls the functions of math.h; "own" writes functions into the file, which states their errors, and
            needs no library at all.
        work: where a step has its temporary memory, "stack" or "state".
        inputs: for int8, sequences to measure the error on: each `(T, I)`, or `(T,)` for tokens or a series; a
            dictionary if a step has other arguments, `{"x": ..., "dt": ...}`. None for a random sequence.
        force: overwrite files that exist.

    Returns:
        The files, how much memory their code needs, and the error from rounded weights.

    Raises:
        ConfigError: the module cannot be written as C (the message has the reason), an argument does not fit, or a file
            exists already.
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
    """Write both files under temporary names first, then rename them, so that each appears as a whole."""
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
