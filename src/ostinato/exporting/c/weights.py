"""The weights of a network as constants of C, in float32 or in 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import torch

from ostinato.errors import ConfigError
from ostinato.exporting.c.text import array
from ostinato.kernels.storage import missing

WeightsName: TypeAlias = Literal["float32", "int8"]

LARGEST = 127  # the largest whole number; -128 is not used, as it has no counterpart


@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix for products, or whose rows are looked up.

    Attributes:
        name: the name of the array.
        values: `(rows, columns)`, float32: the values that the C code computes with, so the rounded ones for `int8`.
        whole: for `int8` the whole numbers from -127 to 127, `(rows, columns)`; else None.
        scale: for `int8` the factor of each row's whole numbers, `(rows,)`; else None.
    """

    name: str
    values: torch.Tensor
    whole: torch.Tensor | None = None
    scale: torch.Tensor | None = None

    @property
    def is_int8(self) -> bool:
        """Whether the matrix is stored as whole numbers of 8 bits."""
        return self.whole is not None

    @property
    def columns(self) -> int:
        """The number of columns."""
        return self.values.shape[1]

    def texts(self) -> Iterator[str]:
        """Yield the definitions of the matrix' arrays."""
        if self.whole is None or self.scale is None:
            yield array(self.name, self.values.numpy(), "float")
        else:
            yield array(self.name, self.whole.numpy(), "signed char")
            yield array(f"{self.name}_scale", self.scale.numpy(), "float")

    @property
    def nbytes(self) -> int:
        """The size in read-only memory, in bytes."""
        rows, columns = self.values.shape
        return rows * (columns + 4) if self.is_int8 else 4 * rows * columns


@dataclass
class Constants:
    """All arrays of a file; a matrix that is used twice (tied weights) is stored once.

    Attributes:
        kind: the type of matrices; vectors are always float32.
        matrices: the matrices by name.
        vectors: the vectors by name.
        used: the names of arrays that code reads, in order of first use.
    """

    kind: WeightsName
    matrices: dict[str, Matrix] = field(default_factory=dict[str, Matrix])
    vectors: dict[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])
    used: dict[str, None] = field(default_factory=dict[str, None])
    _by_memory: dict[object, Matrix] = field(default_factory=dict[object, Matrix])
    _held: list[torch.Tensor] = field(default_factory=list[torch.Tensor])  # their addresses are keys

    def matrix(self, name: str, given: torch.Tensor) -> Matrix:
        """Add a matrix, or return the earlier one if it is the same tensor (tied weights).

        Raises:
            ConfigError: the tensor has no values yet (such as on the device meta), or one is not finite and is to be
                rounded.
        """
        given = _there(name, given)
        key = (given.data_ptr(), tuple(given.shape), given.stride(), given.dtype)
        if given.numel() and (known := self._by_memory.get(key)) is not None:
            return known
        values = _float32(given)
        made = Matrix(name, values) if self.kind == "float32" else _rounded(name, values)
        self.matrices[name] = self._by_memory[key] = made
        self._held.append(given)
        return made

    def vector(self, name: str, given: torch.Tensor) -> str:
        """Add a vector; return its name."""
        self.vectors[name] = _float32(_there(name, given))
        return name

    def use(self, what: Matrix | str) -> str:
        """Mark an array as used, and return its name."""
        name = what.name if isinstance(what, Matrix) else what
        self.used[name] = None
        return name

    def texts(self) -> Iterator[str]:
        """Yield the definitions of the arrays that are used."""
        for name in self.used:
            if name in self.matrices:
                yield from self.matrices[name].texts()
            else:
                yield array(name, self.vectors[name].numpy(), "float")

    @property
    def nbytes(self) -> int:
        """The size of the arrays that are used, in bytes."""
        matrices = sum(m.nbytes for name, m in self.matrices.items() if name in self.used)
        return matrices + sum(4 * v.numel() for name, v in self.vectors.items() if name in self.used)


def _there(name: str, given: torch.Tensor) -> torch.Tensor:
    why = "is on the device meta, and has no numbers" if given.is_meta else missing(given)
    if why is not None:
        raise ConfigError(f"{name} {why}; load the weights first")
    return given.detach()


def _float32(given: torch.Tensor) -> torch.Tensor:
    return given.to(device="cpu", dtype=torch.float32).contiguous().clone()


def _rounded(name: str, values: torch.Tensor) -> Matrix:
    """Round a matrix to whole numbers with a scale for each row, by which its largest absolute number becomes 127."""
    if not bool(torch.isfinite(values).all()):
        raise ConfigError(f"weights='int8' expected finite numbers, and {name} has others; use weights='float32'")
    scale = (values.abs().amax(1) / LARGEST) if values.numel() else values.new_zeros(len(values))
    # A row is zero if it is so small that its scale would be a subnormal number.
    scale = torch.where(scale >= float(np.finfo(np.float32).tiny), scale, 0.0)
    divisor = torch.where(scale > 0, scale, 1.0)[:, None]
    whole = torch.where(scale[:, None] > 0, values / divisor, 0.0).round().clamp(-LARGEST, LARGEST)
    return Matrix(name, whole * scale[:, None], whole.to(torch.int8), scale)


def dot(constants: Constants, matrix: Matrix, row: str, v: str) -> str:
    """Write one row of a matrix times a vector as a C expression."""
    name, columns = constants.use(matrix), matrix.columns
    first = row if columns == 1 else f"({row}) * {columns}" if " " in row else f"{row} * {columns}"
    place = f"&{name}[{first}]" if first != "0" and not first.startswith("0 *") else name
    if matrix.is_int8:
        scale = f"{name}_scale[{row}]"
        return f"dot8({place}, {v}, {columns}) * {scale}"
    return f"dot({place}, {v}, {columns})"


_DOT = """\
/* The sum of w[k] v[k] over `count` numbersTOLD. */
static float NAME(const TYPE *w, const float *v, int count)
{
    float sum = 0.0f;
    int k = 0;
    for (; k + 4 <= count; k += 4)
        sum += CASTw[k] * v[k] + CASTw[k + 1] * v[k + 1] + CASTw[k + 2] * v[k + 2] + CASTw[k + 3] * v[k + 3];
    for (; k < count; k++)
        sum += CASTw[k] * v[k];
    return sum;
}
"""


def _dot_text(name: str, kind: str, cast: str, told: str) -> str:
    text = _DOT.replace("TOLD", told).replace("NAME", name).replace("TYPE", kind)
    return text.replace("CAST", cast)


DOT = {
    "dot": _dot_text("dot", "float", "", ""),
    "dot8": _dot_text("dot8", "signed char", "(float)", ", w in whole numbers whose scale the caller knows"),
}
