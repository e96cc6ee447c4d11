"""A compiled recurrence as two functions of tensors, forward and backward; nothing here knows of autograd."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch

from ostinato.cells.spec import Cell
from ostinato.kernels.cpu.engine import Engine, Gradients, Memory, Operands
from ostinato.kernels.cpu.kernel import Kernel, kernel, library
from ostinato.kernels.cpu.moving import moved
from ostinato.kernels.cpu.rows import Rows, full, ragged
from ostinato.kernels.graph import Unsupported
from ostinato.types import Tensor


@dataclass(frozen=True)
class Recurrence:
    """What is not a tensor.

    Attributes:
        cell: the recurrence.
        bias: whether there are `bias_ih` and `bias_hh`.
        projected: whether the output has `P` units.
        reverse: run from the last step to the first.
        every_state: give all states of all steps.
        segment: keep states at every so many steps only and compute the others again in the backward pass; 0 keeps everything.
        packed: as in `Request`.
        bf16: multiply float32 matrices in bfloat16, as autocast wants it: where the processor has tiles, all of them; else what the
            backward pass does once for all time steps.
    """

    cell: Cell
    bias: bool
    projected: bool
    reverse: bool = False
    every_state: bool = False
    segment: int = 0
    packed: bool = False
    bf16: bool = False

    @property
    def shown(self) -> tuple[str, ...]:
        """The states that are given for all steps."""
        return tuple(self.cell.states) if self.every_state else (self.cell.output,)

    def kernel(self, dtype: torch.dtype) -> Kernel:
        """The compiled cell."""
        found = kernel(self.cell, self.bias, self.projected, dtype is torch.float64)
        if isinstance(found, Unsupported):
            raise Unsupported(str(found))  # another one, as what is raised keeps the frames that it goes through
        return found


@dataclass(frozen=True)
class Tensors:
    """What is computed from: float32 or float64 tensors on CPU, all of one dtype.

    Attributes:
        input: `(T, B, I)`, or packed `(N, I)`; then so is all that has `(T, B)` below.
        weight_ih: `(G H, I)`.
        matrices: `weight_hh`, where there is one, and own matrices.
        vectors: biases and own vectors.
        first: the first states, `(B, H)` each.
        masks: noise, `(T, B, H)` or `(B, H)`.
        lengths: `(B,)` int64, or None.
    """

    input: Tensor
    weight_ih: Tensor
    matrices: Mapping[str, Tensor]
    vectors: Mapping[str, Tensor]
    first: Mapping[str, Tensor]
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    lengths: Tensor | None = None


@dataclass
class Kept:
    """What the backward pass needs besides the tensors.

    Attributes:
        kernel: what computed the forward pass; a step may read what has changed since.
        operands: the tensors in flat rows.
        rows: which they are.
        memory: of the whole pass, or None where it is computed again, segment by segment.
        states: of every flat row; those that are known.
        starts: the first states of each segment.
        fresh: the memory's slots have not been written over yet.
        versions: of `states` as the forward pass left them. What was shown may lie in the same memory, and its user may change it.
    """

    kernel: Kernel
    operands: Operands
    rows: Rows
    memory: Memory | None
    states: dict[str, Tensor]
    starts: list[Mapping[str, Tensor]]
    fresh: bool = True
    versions: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.versions = {name: v._version for name, v in self.states.items()}

    @property
    def changed(self) -> bool:
        """Whether the states are no longer what was computed."""
        return any(v._version != self.versions[name] for name, v in self.states.items())


@dataclass(frozen=True)
class Outcome:
    """What the forward pass gives.

    Attributes:
        shown: `(T, B, H)` for each state that is given for all steps, zero past a row's end.
        last: `(B, H)` for each state.
        kept: for the backward pass, or None.
    """

    shown: dict[str, Tensor]
    last: dict[str, Tensor]
    kept: Kept | None


def forward(what: Recurrence, tensors: Tensors, save: bool) -> Outcome:
    """Run over the sequence; with `save` so that `backward` can follow."""
    rows = rows_of(what, tensors)
    operands = operands_of(what, tensors, rows)
    compiled = what.kernel(tensors.input.dtype)
    every = frozenset(what.shown)
    starts: list[Mapping[str, Tensor]] = []
    memory = None
    if what.segment and rows.steps > what.segment:
        width = {name: operands.first[name].shape[1] for name in every}
        states = {name: operands.x.new_empty(rows.total, width[name]) for name in every}
        last: dict[str, Tensor] = dict(operands.first)
        panels: dict[tuple[object, ...], Tensor] = {}
        for part, flat in rows.segments(what.segment):
            starts.append(last)
            cut = _cut(operands, flat, last)
            last, _ = Engine(compiled, cut, part, panels, bf16=what.bf16).forward(
                False, every, {n: v[flat] for n, v in states.items()}
            )
    else:
        last, memory = Engine(compiled, operands, rows, bf16=what.bf16).forward(save, every)
        states = memory.states
    shown = {name: _spread(states[name], rows, tensors.input) for name in every}
    kept = Kept(compiled, operands, rows, memory if save else None, states, starts) if save else None
    return Outcome(shown, {name: _unsorted(v, rows) for name, v in last.items()}, kept)


def backward(
    what: Recurrence,
    tensors: Tensors,
    kept: Kept,
    dshown: Mapping[str, Tensor | None],
    dlast: Mapping[str, Tensor | None],
    *,
    input: bool = True,
    weights: Mapping[str, bool] | None = None,
) -> Gradients:
    """The gradients of all tensors, in the shapes of `tensors`.

    Args:
        what: as in `forward`.
        tensors: as in `forward`.
        kept: what `forward` kept. Its memory is written over; a second call computes it again.
        dshown: gradient of what was shown, `(T, B, H)`, or None.
        dlast: gradient of the last states, `(B, H)`, or None.
        input: whether the input's is wanted.
        weights: "weight_ih" and matrices: whether theirs is wanted; None wants all.
    """
    rows, operands = kept.rows, kept.operands
    weights = weights or dict.fromkeys(["weight_ih", *operands.matrices], True)
    if not rows.total:
        return _nothing_computed(tensors, dlast, input, weights)
    compiled = kept.kernel
    flat = {name: None if d is None else gathered(d, rows) for name, d in dshown.items()}
    final = {name: None if d is None else _sorted(d, rows) for name, d in dlast.items()}
    if kept.memory is None:
        found = _by_segments(what, compiled, kept, flat, final, input, weights)
    else:
        engine = Engine(compiled, operands, rows, bf16=what.bf16)
        if kept.changed or not kept.fresh:
            _, kept.memory = engine.forward(True, frozenset(what.shown))
        kept.fresh = False
        found = engine.backward(kept.memory, flat, final, input=input, weights=weights)
        found = replace(found, vectors=engine.vectors(found.sums))
    dx = None if found.x is None else _spread(found.x, rows, tensors.input)
    return replace(found, x=dx, first={name: _unsorted(v, rows) for name, v in found.first.items()})


def _nothing_computed(
    tensors: Tensors, dlast: Mapping[str, Tensor | None], input: bool, weights: Mapping[str, bool]
) -> Gradients:
    """Where all rows are empty: zeros that are there, and the last states' gradients handed to the first states."""
    matrices = {"weight_ih": tensors.weight_ih, **tensors.matrices}
    first = {name: dlast.get(name) for name in tensors.first}
    return Gradients(
        torch.zeros_like(tensors.input) if input else None,
        {name: torch.zeros_like(matrix) for name, matrix in matrices.items() if weights[name]},
        {name: torch.zeros_like(vector) for name, vector in tensors.vectors.items()},
        {name: torch.zeros_like(tensors.first[name]) if d is None else d for name, d in first.items()},
    )


def _by_segments(
    what: Recurrence,
    compiled: Kernel,
    kept: Kept,
    dshown: Mapping[str, Tensor | None],
    dlast: Mapping[str, Tensor | None],
    input: bool,
    weights: Mapping[str, bool],
) -> Gradients:
    """Compute each segment again, from the last to the first, and add the gradients up (Gruslys et al. 2016)."""
    operands, rows = kept.operands, kept.rows
    # What the forward pass showed is written again with the same numbers, unless it has others now, which are not ours to change.
    states = {n: torch.empty_like(v) for n, v in kept.states.items()} if kept.changed else kept.states
    dx = torch.empty_like(operands.x) if input else None
    wanted: dict[str, Tensor] | None = None
    sums: dict[str, Tensor] = {}
    panels: dict[tuple[object, ...], Tensor] = {}
    carried: Mapping[str, Tensor | None] = dlast
    for (part, flat), start in reversed(list(zip(rows.segments(what.segment), kept.starts, strict=True))):
        engine = Engine(compiled, _cut(operands, flat, start), part, panels, bf16=what.bf16)
        _, memory = engine.forward(True, frozenset(what.shown), {n: v[flat] for n, v in states.items()})
        found = engine.backward(
            memory,
            {name: None if d is None else d[flat] for name, d in dshown.items()},
            carried,
            input=input,
            weights=weights,
            into=wanted,
            dx=None if dx is None else dx[flat],
        )
        wanted, carried = found.weights, found.first
        sums = {space: v.add_(sums[space]) if sums else v for space, v in found.sums.items()}
    vectors = Engine(compiled, operands, rows).vectors(sums)
    return Gradients(dx, wanted or {}, vectors, {n: v for n, v in carried.items() if v is not None})


def rows_of(what: Recurrence, tensors: Tensors) -> Rows:
    """Which rows each step has."""
    if tensors.lengths is None:
        return full(*tensors.input.shape[:2], what.reverse)
    return ragged(tensors.lengths.cpu(), what.reverse, None if what.packed else tensors.input.shape[0])


def check_parameters(what: Recurrence, tensors: Tensors) -> None:
    """Machine code reads where a parameter of the right shape would lie: raise `RuntimeError`, as torch does, for any other."""
    width = {letter: tensors.first[name].shape[1] for name, letter in what.cell.states.items()}
    sizes = (tensors.input.shape[-1], width["H"], width.get("P", 0), what.bias)
    # Kept with the cell: a table of cells would keep them for good.
    known: dict[object, dict[str, tuple[int, ...]]] = vars(what.cell).setdefault("_shapes", {})
    if (expected := known.get(sizes)) is None:
        if len(known) >= 64:
            known.clear()
        expected = known[sizes] = what.cell.parameter_sizes(*sizes)
    for name, v in {"weight_ih": tensors.weight_ih, **tensors.matrices, **tensors.vectors}.items():
        if v.shape != expected[name]:
            raise RuntimeError(
                f"{name} expected the shape {expected[name]}, got {tuple(v.shape)}; "
                "a parameter that is put in the place of a layer's own must have its shape"
            )


def operands_of(what: Recurrence, tensors: Tensors, rows: Rows) -> Operands:
    """The tensors in flat rows."""
    check_parameters(what, tensors)
    every_step = {noise.name for noise in what.cell.noise if noise.every_step}
    masks, flat = {}, set()
    for name, mask in tensors.masks.items():
        if not any(mask.stride()):  # one number for all: evaluation's mean of a mask, say
            masks[name] = mask.reshape(-1, mask.shape[-1])[:1].contiguous()
        elif name in every_step:
            flat.add(name)
            masks[name] = gathered(mask, rows)
        else:
            masks[name] = _sorted(mask, rows)
    return Operands(
        gathered(tensors.input, rows),
        tensors.weight_ih.contiguous(),
        _contiguous(tensors.matrices.items()),
        _contiguous(tensors.vectors.items()),
        {name: _sorted(first, rows) for name, first in tensors.first.items()},
        masks,
        frozenset(flat),
    )


def _contiguous(named: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in named}


def _cut(operands: Operands, flat: slice, first: Mapping[str, Tensor]) -> Operands:
    masks = {name: mask[flat] if name in operands.flat else mask for name, mask in operands.masks.items()}
    return replace(operands, x=operands.x[flat], first=first, masks=masks)


def gathered(v: Tensor, rows: Rows) -> Tensor:
    """`(T, B, F)` or packed to `(rows, F)`."""
    flat = v.reshape(-1, v.shape[-1]).contiguous()
    return flat if rows.gather is None else moved(flat, rows.gather, library(v.dtype is torch.float64))


def _spread(v: Tensor, rows: Rows, like: Tensor) -> Tensor:
    """`(rows, F)` to `(T, B, F)`, zero past a row's end, or to packed, as the input is."""
    if rows.scatter is not None:
        v = moved(v.contiguous(), rows.scatter, library(v.dtype is torch.float64))
    return v.view(*like.shape[:-1], v.shape[1])


def _sorted(v: Tensor, rows: Rows) -> Tensor:
    return v.contiguous() if rows.order is None else v.index_select(0, rows.order)


def _unsorted(v: Tensor, rows: Rows) -> Tensor:
    return v if rows.order is None else torch.empty_like(v).index_copy_(0, rows.order, v)
