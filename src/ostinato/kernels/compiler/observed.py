"""Observes what a step does with tensors, call by call: whether it does the same at all sizes and in all dtypes.

A program is recorded at some sizes and in one dtype, and a step may look at both in Python: `if len(s.h) == 1`,
`torch.finfo(x.a.dtype).eps`. Whatever follows from that reaches tensors through calls of PyTorch's functions. So the calls are
recorded at two sets of sizes, from which it follows what the numbers in them must be at any other; and for a step that looks at a
size, they are compared with the calls at the sizes of a request, before it runs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ostinato.cells.spec import Cell
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.compiler.lines import OURS, TORCHS, in_brackets, line
from ostinato.kernels.compiler.sized import TracedSizes, of_heads, traced_sizes
from ostinato.kernels.compiler.trace import Cuts, NoRandomNumbers, Run, alone
from ostinato.types import Tensor

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)  # in which a step may run
_LOOKS_AT_SIZE = frozenset({"shape", "size", "numel", "nelement", "__len__"})
_DEPENDS_ON_SIZE = frozenset({"squeeze", "squeeze_"})  # the number of dimensions of the result depends on the sizes
_LOOKS_AT_DTYPE = frozenset({"dtype", "result_type", "promote_types", "can_cast"})
# Properties that are the same for every tensor that a compiled step gets.
_CONSTANT = frozenset(
    {
        *("ndim", "dim", "ndimension", "device", "layout", "is_floating_point", "is_complex", "is_signed", "is_tensor"),
        *("is_cpu", "is_cuda", "is_xpu", "is_meta", "is_mps", "is_sparse", "is_quantized", "is_nested", "get_device"),
    }
)
_WRAPPERS = frozenset({__file__, torch.overrides.__file__, str(Path(torch.__file__).parent / "_tensor.py")})
_KEPT = 4096  # at most so many answers are kept, one for each set of sizes

_Token = str | float


class Observed:
    """The observed calls of a step.

    Args:
        cell: the cell of the step.
        bias: whether there are biases.
        projected: whether P is another number than H.
        names: the attributes that the step's code may look up.

    Attributes:
        where: the line that looks at a size; None if none does: then the program holds at all sizes.

    Raises:
        Unsupported: if what the step does depends on more than the values of its arguments.
    """

    def __init__(self, cell: Cell, bias: bool, projected: bool, names: frozenset[str]) -> None:
        self._cell, self._bias, self._projected = cell, bias, projected
        self._answers: dict[tuple[int, int, int, int], str | None] = {}
        self._at, self._other_at = traced_sizes(cell, projected)
        seen = self._calls(self._at)
        self.where = seen.size_at or (_start(cell) if "size" in names else None)
        self._first: list[_Token] = seen.tokens
        self._second: list[_Token] = seen.tokens
        if self.where is not None:
            other = self._calls(self._other_at)
            self._second = other.tokens
            if (at := _unlike(self._first, self._second)) is not None:
                raise _depends("the sizes of its tensors", other.size_before(at) or self.where)
            for a, b in zip(self._first, self._second, strict=True):
                if not (isinstance(a, str) or isinstance(b, str)) and self._law(a, b) is None:
                    raise Unsupported(
                        f"a number in the step depends on the sizes otherwise than H, 1/H, P or 1/P do ({self.where})"
                    )
        if seen.dtype_at is not None:
            for dtype in _DTYPES:
                if self._calls(self._at, dtype=dtype).tokens != self._first:
                    raise _depends("the dtype of its tensors", seen.dtype_at)

    def differs(self, rows: int, inputs: int, hidden: int, projected: int) -> str | None:
        """Why the program does not hold at these sizes; None if it does."""
        if self.where is None:
            return None
        sizes = (rows, inputs, hidden, projected)
        if sizes not in self._answers:
            if len(self._answers) >= _KEPT:
                self._answers.clear()
            self._answers[sizes] = self._answer(sizes)
        return self._answers[sizes]

    def _answer(self, sizes: tuple[int, int, int, int]) -> str | None:
        rows, inputs, hidden, projected = sizes
        letters = (
            {"H": hidden} | ({"P": projected} if self._projected else {}) | {"I": inputs} | dict(self._cell.widths)
        )
        heads = self._cell.heads
        at = TracedSizes(rows, letters | of_heads(self._cell, hidden // heads), heads)
        try:
            seen = self._calls(at)
        except Unsupported as reason:
            return str(reason)
        for place, (a, b, got) in enumerate(zip(self._first, self._second, seen.tokens, strict=False)):
            want: _Token | None = a
            if not (isinstance(a, str) or isinstance(b, str)):
                law = self._law(a, b)
                want = None if law is None else law[0] * _product(law[1], _sizes(at))
            if isinstance(want, str) or isinstance(got, str):
                same = want == got
            else:
                same = want is not None and math.isclose(want, got, rel_tol=1e-12)
            if not same:
                return self._otherwise(seen.size_before(place), at)
        return None if len(seen.tokens) == len(self._first) else self._otherwise(seen.size_at, at)

    def _otherwise(self, where: str | None, sizes: TracedSizes) -> str:
        shown = ", ".join(f"{k} = {v}" for k, v in _sizes(sizes).items() if k != "I" or self._cell.raw)
        return f"what the step does at {shown} is not what it does at other sizes: it looks at a size ({where or self.where})"

    def _law(self, a: float, b: float) -> tuple[float, Mapping[str, int]] | None:
        """A number as a factor and powers of sizes, which holds at all sizes, from its values at the two sets of sizes."""
        return next(_laws(a, b, _sizes(self._at), _sizes(self._other_at)), None)

    def _calls(self, sizes: TracedSizes, dtype: torch.dtype = torch.float64) -> _Calls:
        return alone(_calls, self._cell, self._bias, sizes, dtype)


def _calls(cell: Cell, bias: bool, sizes: TracedSizes, dtype: torch.dtype) -> _Calls:
    run = Run(cell, bias, sizes, dtype=dtype)
    arguments = {**run.primals, **run.masks}
    versions = {key: v._version for key, v in arguments.items()}
    cuts = Cuts({}, None)
    calls = _Calls(arguments.values(), dtype)
    with NoRandomNumbers(), calls:
        results = run.step(arguments, cuts)
    for (op, name), v in arguments.items():
        if v._version != versions[op, name]:
            what = "what the input gives the gates" if op == "x" else f"the {op} {name}"
            raise Unsupported(
                f"the step changes {what} in place, which is the caller's; use an operation that makes a new one"
            )
    calls.end(results.values(), cuts.products)
    return calls


class _Calls(TorchFunctionMode):
    """Records every call of a function of PyTorch: its name, which tensors it takes and gives, and all its numbers.

    Attributes:
        tokens: the functions that were called, each with its arguments and results.
        size_at: the first line that looks at a size, or None.
        dtype_at: the first line that looks at a dtype, or None.
    """

    def __init__(self, given: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.tokens: list[_Token] = []
        self.size_at: str | None = None
        self.dtype_at: str | None = None
        self._sizes_at: list[tuple[int, str]] = []
        self._dtype = dtype
        self._numbers: dict[int, int] = {}
        self._kept: list[Tensor] = []
        for v in given:
            self._number(v)

    def size_before(self, at: int) -> str | None:
        """The last line that looked at a size before the token `at` was recorded."""
        return next((where for place, where in reversed(self._sizes_at) if place <= at), self.size_at)

    def end(self, results: Any, products: Sequence[Any]) -> None:
        """Record the results of the step, and its products."""
        self._write(list(results))
        self.tokens.append(repr(products))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = _name(func)
        if name == "__getitem__" and _ends_past(args[0], args[1]):
            # torch.fx records nothing for a slice that takes all units, but in a wider layer it may not take all.
            raise Unsupported(
                f"the step takes units by numbers that are larger than the compiler follows{in_brackets(_looking())}"
            )
        found = func(*args, **(kwargs or {}))
        if name in _CONSTANT:
            return found
        if name in _LOOKS_AT_SIZE or name in _LOOKS_AT_DTYPE:
            self._look(name)
            return found
        if type(found) in (tuple, list) or name in _DEPENDS_ON_SIZE:  # the step may count tensors or dimensions
            self._look("size")
        is_known = _is_of_tensors(found) and not (found is None and func.__name__ == "__get__")
        if not is_known and (where := _looking()) is not None:
            raise Unsupported(
                f"the step looks at {name.strip('_')} of a tensor ({where}), which is not known before it runs"
            )
        self.tokens.append(name)
        self._write(args)
        for key, value in (kwargs or {}).items():
            self.tokens.append(key)
            self._write(value)
        self._write(found)
        return found

    def _look(self, name: str) -> None:
        if (where := _looking()) is None:
            return
        if name in _LOOKS_AT_SIZE:
            self.size_at = self.size_at or where
            self._sizes_at.append((len(self.tokens), where))
        else:
            self.dtype_at = self.dtype_at or where

    def _number(self, v: Tensor) -> int:
        if id(v) not in self._numbers:
            self._numbers[id(v)] = len(self._kept)
            self._kept.append(v)  # so that its id is not used again
        return self._numbers[id(v)]

    def _write(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self.tokens.append(f"tensor {self._number(value)}")
        elif isinstance(value, bool | str | None):
            self.tokens.append(repr(value))
        elif isinstance(value, int | float):
            self.tokens += (type(value).__name__, value)
        elif isinstance(value, complex):
            self._write((value.real, value.imag))
        elif isinstance(value, range):
            self._write(("range", value.start, value.stop, value.step))
        elif type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            self.tokens.append(f"{type(value).__name__} {value.dtype}")
            self._write(value.tolist())
        elif isinstance(value, torch.dtype):
            self.tokens.append("dtype" if value is self._dtype else str(value))
        elif isinstance(value, slice):
            self._write((value.start, value.stop, value.step))
        elif isinstance(value, tuple | list):
            self.tokens.append("(")
            for each in value:
                self._write(each)
            self.tokens.append(")")
        elif isinstance(value, dict):
            self._write(list(value.items()))
        else:
            self.tokens.append(type(value).__name__)


def _name(func: Any) -> str:
    name = getattr(func, "__name__", str(func))
    return func.__self__.__name__ if name in ("__get__", "__set__") and hasattr(func, "__self__") else name


def _ends_past(v: Tensor, index: Any) -> bool:
    """Whether a slice of `v` begins or ends at a number past the end."""
    places = [at for at in (index if isinstance(index, tuple) else (index,)) if at is not None]
    named = [at is Ellipsis for at in places]  # indices behind an ellipsis count from the last dimension
    first = named.index(True) if True in named else len(places)
    pairs = [*zip(places[:first], v.shape, strict=False), *zip(places[:first:-1], v.shape[::-1], strict=False)]
    return any(
        isinstance(at, slice) and any(isinstance(n, int) and abs(n) > size for n in (at.start, at.stop))
        for at, size in pairs
    )


def _is_of_tensors(found: Any) -> bool:
    if found is None or isinstance(found, Tensor):
        return True
    return isinstance(found, tuple | list) and all(map(_is_of_tensors, found))


def _looking() -> str | None:
    """The line of the user's code that called PyTorch; None if this package or PyTorch itself did."""
    frame: Any = sys._getframe(2)
    while frame is not None and (frame.f_code.co_filename in _WRAPPERS or frame.f_code.co_name == "__torch_function__"):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith((OURS, TORCHS)):
        return None
    return line(frame.f_code.co_filename, frame.f_lineno)


def _start(cell: Cell) -> str | None:
    code = getattr(cell.step, "__code__", None)
    return None if code is None else line(code.co_filename, code.co_firstlineno)


def _depends(on: str, where: str) -> Unsupported:
    return Unsupported(f"what the step does depends on {on}, which it looks at ({where})")


def _unlike(first: list[_Token], second: list[_Token]) -> int | None:
    """The index of the first token in which the calls differ by more than a number; None if there is none."""
    for at, (a, b) in enumerate(zip(first, second, strict=False)):
        if isinstance(a, str) != isinstance(b, str) or (isinstance(a, str) and a != b):
            return at
    return None if len(first) == len(second) else min(len(first), len(second))


def _sizes(sizes: TracedSizes) -> dict[str, int]:
    return {"B": sizes.rows, **sizes.letters}


def _laws(
    a: float, b: float, sizes: Mapping[str, int], others: Mapping[str, int]
) -> Iterator[tuple[float, Mapping[str, int]]]:
    if a == b or (a != a and b != b):
        yield a, {}
        return
    letters = list(sizes)
    powers = [{letter: 1} for letter in letters] + [{"B": 1, letter: 1} for letter in letters[1:]]
    for each in powers + [{letter: -1} for letter in letters]:
        factor, other = a / _product(each, sizes), b / _product(each, others)
        if math.isclose(factor, other, rel_tol=1e-14):
            yield factor, each


def _product(powers: Mapping[str, int], sizes: Mapping[str, int]) -> float:
    return math.prod(float(sizes[letter]) ** power for letter, power in powers.items())
