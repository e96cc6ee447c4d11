r"""Split an answer into contributions of the steps, passed on through the gates; they sum to the answer, for any recurrence.

The network is run twice side by side, once on the input and once on the baseline. Between the two runs the state after step t
differs by ds_t, and that difference has two causes: the input of the step, and the state that it began with. One function gives the
states of both runs, s_t = F(x_t, s_{t-1}), so that its mean Jacobian on the straight line between the two runs splits the
difference exactly:

    ds_t = A_t dx_t + B_t ds_{t-1},     [A_t B_t] = integral over a from 0 to 1 of  DF((x0_t, s0_{t-1}) + a (dx_t, ds_{t-1}))

A_t is what the gates let in, B_t what they keep. From step to step this gives the state. The operations after the recurrent layers
are split in the same way, one by one, which gives the answer:

    f(x) - f(x0) = sum over t of  m_t A_t dx_t,     m_{t-1} = m_t B_t,     m_T = the mean derivative of the answer by the last state

For an LSTM that is linear in its memory, with gates that nothing enters, A_t and B_t are the i and f of Murdoch & Szlam 2017 (arXiv
1702.02540, (10)), and the sum is theirs; here gates count as well, as they depend on the input. An integral by quadrature is nearly
exact. The remaining error is removed by the smallest change of the matrix that makes the split exact:

    [A B] += (ds_t - [A B] d) d' / (d' d),     d = (dx_t, ds_{t-1})                    (Broyden 1965, (4.5), the secant condition)

So sums are exact up to rounding, also for steps with kinks. DeepLIFT (Shrikumar et al. 2017, arXiv 1704.02685) has a rule for each
operation instead, so that its result for a step depends on how the equation is written; here it depends only on what the step
computes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from ostinato.cells.named import Named
from ostinato.cells.spec import Cell
from ostinato.insight.layers import InsightError, convert_alone, recurrent_modules
from ostinato.insight.reasons.gradients import check_finite, quadrature
from ostinato.insight.reasons.question import Question, Reasons
from ostinato.kernels.dispatch import backend
from ostinato.nn.recurrent import Recurrent
from ostinato.types import Tensor

_POINTS = 12
_OFF = 1e-6  # the error of a sum in double precision that is allowed, as a share of the answer

# Functions that are linear in all their arguments together, for finite numbers: torch's own derivative is the mean derivative.
_LINEAR = frozenset(
    {
        *(
            "add",
            "sub",
            "neg",
            "sum",
            "mean",
            "cumsum",
            "__add__",
            "__radd__",
            "__sub__",
            "__rsub__",
            "__neg__",
            "nan_to_num",
        ),
        *(
            "cat",
            "concat",
            "stack",
            "unbind",
            "chunk",
            "split",
            "tensor_split",
            "select",
            "narrow",
            "__getitem__",
            "index_select",
        ),
        *(
            "gather",
            "take_along_dim",
            "flip",
            "roll",
            "clone",
            "contiguous",
            "double",
            "float",
            "to",
            "type_as",
            "__get__",
        ),
        *(
            "transpose",
            "permute",
            "t",
            "movedim",
            "swapaxes",
            "unsqueeze",
            "squeeze",
            "reshape",
            "view",
            "view_as",
            "flatten",
        ),
        *("unflatten", "expand", "expand_as", "repeat"),
    }
)
# Functions that are linear in their first argument, if no other argument depends on the input.
_LINEAR_IN_FIRST = frozenset(
    {"linear", "matmul", "__matmul__", "mm", "bmm", "conv2d", "mul", "__mul__", "__rmul__", "multiply", "masked_fill"}
    | {"div", "__truediv__", "true_divide"}
)


def step_contributions(question: Question) -> Reasons:
    """The contribution of each step and channel to an answer, passed on from step to step through the gates.

    A copy of the model is run in double precision, step by step in plain PyTorch; contributions sum to the difference of the answer
    and the baseline.

    Args:
        question: the answer to explain.

    Raises:
        InsightError: the model has no recurrent layer that can be examined, or has an operation that cannot be split.
    """
    model = copy.deepcopy(question.model).double().eval().requires_grad_(False)
    x, base = question.input.double(), question.baseline.double()
    pairs = _Pairs()
    layers = list(recurrent_modules(model).values())
    with torch.enable_grad(), backend("reference"):
        for module in layers:
            _split_steps(module, pairs)
        x = x.detach().clone().requires_grad_()
        pairs.join(x, base)
        with pairs:
            value = question.answer(model, x)
        if not value.requires_grad:
            raise InsightError(f"{question.about}: expected an answer that depends on what was read, got a constant")
        twin = pairs.twin(value)
        (multiplier,) = torch.autograd.grad(value, x, torch.ones_like(value))
        pairs.forget()
        with torch.no_grad():
            direct = float(question.answer(model, base))
    answer, nothing = float(value.detach()), float(twin)
    check_finite(question, answer, nothing)
    contributions = (multiplier * (x.detach() - base))[:, 0]
    off = max(abs(nothing - direct), abs(float(contributions.sum()) - (answer - nothing)))
    if not off <= _OFF * max(1.0, abs(answer), abs(nothing)):
        raise InsightError(
            f"{question.about}: the model does something that cannot be followed operation by operation, such as an "
            "autograd.Function of its own; choose the method gradients"
        )
    return Reasons.of(question, "gates", answer, nothing, question.folded(contributions))


def _split_steps(module: nn.Module, pairs: _Pairs) -> None:
    """Change a layer so that each step is split as a whole, and not operation by operation."""
    twin: Any = convert_alone(module)
    twin.eval()
    for training, cell in list(twin._cells.items()):
        twin.__dict__["_cells"][training] = _split(cell, pairs)
    if isinstance(twin, Recurrent):
        twin.options = replace(twin.options, checkpoint_segments=None)
    if twin is not module:
        twin.double().requires_grad_(False)
        module.__dict__["forward"] = twin.forward


def _split(cell: Cell, pairs: _Pairs) -> Cell:
    def step(x: Any, s: Any, U: Any, **named: Any) -> Any:
        leaves, rebuild = _leaves((x, s))
        count = len(leaves)
        own = {name: v for name, v in named.items() if isinstance(v, Tensor) and pairs.has(v)}
        rest = {name: v for name, v in named.items() if name not in own}

        def run(*given: Tensor) -> tuple[Tensor, ...]:
            gates, state = rebuild(given[:count])
            after = cell.step(gates, state, U, **rest, **dict(zip(own, given[count:], strict=True)))
            return tuple(getattr(after, name) for name in cell.states)

        after = pairs.split(run, [*leaves, *own.values()], side_by_side=True)
        return type(s)(**dict(zip(cell.states, after, strict=True)))

    return replace(cell, step=step, vendor=None)


def _leaves(parts: Sequence[Any]) -> tuple[list[Tensor], Callable[[Sequence[Tensor]], list[Any]]]:
    """The tensors in `parts` (gates, states, or tensors), and a function that builds such parts from other tensors."""

    def rebuild(given: Sequence[Tensor]) -> list[Any]:
        left = iter(given)
        return [
            type(part)(**{name: next(left) for name in part.names}) if isinstance(part, Named) else next(left)
            for part in parts
        ]

    return [v for part in parts for v in (part if isinstance(part, Named) else [part])], rebuild


class _Pairs(TorchFunctionMode):
    """Inside, every tensor that depends on the input has a twin, its value for the baseline; derivatives are mean derivatives."""

    def __init__(self) -> None:
        super().__init__()
        self._twins: dict[int, tuple[Tensor, Tensor]] = {}  # keeps both alive, so that their ids stay theirs

    def join(self, value: Tensor, twin: Tensor) -> None:
        """Record `twin` as the twin of `value`."""
        self._twins[id(value)] = (value, twin)

    def has(self, value: Any) -> bool:
        """Whether a value depends on the input."""
        return id(value) in self._twins

    def forget(self) -> None:
        """Forget all pairs, which frees their memory."""
        self._twins.clear()

    def twin(self, value: Tensor) -> Tensor:
        """The value of a tensor for the baseline."""
        found = self._twins.get(id(value))
        return value if found is None else found[1]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves, form = pytree.tree_flatten((args, kwargs or {}))
        tracked = [at for at, v in enumerate(leaves) if isinstance(v, Tensor) and self.has(v)]

        def call(given: Sequence[Any]) -> Any:
            positional, named = pytree.tree_unflatten(list(given), form)
            return func(*positional, **named)

        if not tracked:
            return call(leaves)
        name = getattr(func, "__name__", "")
        if (name.endswith("_") and not name.endswith("__")) or name == "__setitem__":
            return self._in_place(call, leaves)
        with torch.no_grad():
            twins, structure = pytree.tree_flatten(call([self.twin(v) if isinstance(v, Tensor) else v for v in leaves]))
        if not any(isinstance(v, Tensor) for v in twins):
            return call(leaves)
        floating = [at for at in tracked if leaves[at].is_floating_point()]
        linear = (
            name in _LINEAR or (name in _LINEAR_IN_FIRST and tracked == [0]) or (name == "where" and 0 not in tracked)
        )
        if linear or not floating or not any(isinstance(v, Tensor) and v.is_floating_point() for v in twins):
            result = call(leaves)
            found = pytree.tree_leaves(result)
            self._join_all(found, twins)
            return result

        def run(*given: Tensor) -> tuple[Tensor, ...]:
            every = list(leaves)
            for at, v in zip(floating, given, strict=True):
                every[at] = v
            return tuple(v for v in pytree.tree_leaves(call(every)) if _is_number(v))

        with torch.no_grad():
            values = pytree.tree_leaves(call(leaves))
        numbers = iter(self._mean(run, [leaves[at] for at in floating], [v for v in twins if _is_number(v)], False))
        found = [next(numbers) if _is_number(v) else v for v in values]
        self._join_all(found, twins)
        return pytree.tree_unflatten(found, structure)

    def split(
        self, run: Callable[..., tuple[Tensor, ...]], given: Sequence[Tensor], *, side_by_side: bool
    ) -> list[Tensor]:
        """The results of a function, with its mean derivative.

        Args:
            run: the function.
            given: all its tensor arguments, some of which may depend on the input.
            side_by_side: whether rows are independent, so that the points of the integral can be rows of one call.
        """
        if not any(map(self.has, given)):
            return list(run(*given))
        with torch.no_grad(), torch._C.DisableTorchFunction():
            twins = run(*map(self.twin, given))
        with torch._C.DisableTorchFunction():
            found = self._mean(run, given, twins, side_by_side)
        self._join_all(found, twins)
        return found

    def _mean(self, run: Any, given: Sequence[Tensor], twins: Sequence[Tensor], side_by_side: bool) -> list[Tensor]:
        bases = [self.twin(v) for v in given]
        return list(_Mean.apply(run, tuple(twins), side_by_side, *given, *bases))  # pyright: ignore[reportArgumentType]

    def _join_all(self, values: Sequence[Any], twins: Sequence[Any]) -> None:
        for value, twin in zip(values, twins, strict=True):
            if isinstance(value, Tensor):
                if value.shape != twin.shape:
                    raise InsightError(
                        f"expected a model whose shapes do not depend on the values that it reads, got {tuple(value.shape)} and "
                        f"{tuple(twin.shape)}; choose the method gradients"
                    )
                self.join(value, twin)

    def _in_place(self, call: Callable[[Sequence[Any]], Any], leaves: Sequence[Any]) -> Any:
        target = leaves[0]
        twin = self.twin(target).detach().clone()
        with torch.no_grad():
            call([twin, *(self.twin(v) if isinstance(v, Tensor) else v for v in leaves[1:])])
        result = call(leaves)
        self.join(target, twin)
        return result


def _is_number(v: Any) -> bool:
    return isinstance(v, Tensor) and v.is_floating_point()


class _Mean(torch.autograd.Function):
    """A function whose derivative is its mean derivative between two points, corrected to be exact for their difference."""

    @staticmethod
    def forward(
        ctx: Any, run: Any, twins: tuple[Tensor, ...], side_by_side: bool, *given: Tensor
    ) -> tuple[Tensor, ...]:
        half = len(given) // 2
        values = tuple(v.clone() if v._is_view() or any(v is g for g in given) else v for v in run(*given[:half]))
        ctx.run, ctx.side_by_side = run, side_by_side
        ctx.given, ctx.changes = given, [_apart(v, twin) for v, twin in zip(values, twins, strict=True)]
        return values

    @staticmethod
    def backward(ctx: Any, *multipliers: Tensor) -> Any:
        half = len(ctx.given) // 2
        values, bases = ctx.given[:half], ctx.given[half:]
        apart = [_apart(v, base) for v, base in zip(values, bases, strict=True)]
        at, weights = quadrature(_POINTS)
        rows = ctx.side_by_side and all(v.shape[0] == 1 for v in values)
        if rows:
            found = _at_rows(ctx.run, bases, apart, multipliers, at, weights)
        else:
            found = [torch.zeros_like(v) for v in values]
            for a, w in zip(at.tolist(), weights.tolist(), strict=True):
                for total, part in zip(found, _pulled(ctx.run, bases, apart, multipliers, a), strict=True):
                    total += w * part
        wanted = sum(float((m * change).sum()) for m, change in zip(multipliers, ctx.changes, strict=True))
        got = sum(float((g * d).sum()) for g, d in zip(found, apart, strict=True))
        square = sum(float(d.square().sum()) for d in apart)
        if square > 0.0:
            found = [g + (wanted - got) / square * d for g, d in zip(found, apart, strict=True)]
        return (None, None, None, *found, *(None for _ in bases))


def _apart(v: Tensor, twin: Tensor) -> Tensor:
    """The difference `v - twin`; 0 if both are the same infinity, as in masked scores, or both NaN."""
    return torch.where((v == twin) | (v.isnan() & twin.isnan()), 0.0, v - twin)


def _pulled(
    run: Any, bases: Sequence[Tensor], apart: Sequence[Tensor], multipliers: Sequence[Tensor], a: Any
) -> list[Tensor]:
    """The multipliers times the Jacobian at the point `a` between the two, from 0 (baseline) to 1 (input)."""
    with torch.enable_grad():
        points = [(base + a * d).detach().requires_grad_() for base, d in zip(bases, apart, strict=True)]
        made = [(v, m) for v, m in zip(run(*points), multipliers, strict=True) if v.requires_grad]
        if not made:
            return [torch.zeros_like(v) for v in points]
        found = torch.autograd.grad([v for v, _ in made], points, [m for _, m in made], allow_unused=True)
    return [torch.zeros_like(v) if g is None else g for v, g in zip(points, found, strict=True)]


def _at_rows(
    run: Any, bases: Sequence[Tensor], apart: Sequence[Tensor], multipliers: Sequence[Tensor], at: Any, weights: Any
) -> list[Tensor]:
    """The weighted mean of `_pulled` over all points, which are rows of one call."""

    def column(numbers: Any, v: Tensor) -> Tensor:
        return torch.from_numpy(numbers).to(v).reshape(-1, *([1] * (v.dim() - 1)))

    a = [column(at, v) for v in bases]
    w = [m * column(weights, m) for m in multipliers]
    with torch.enable_grad():
        points = [(base + k * d).detach().requires_grad_() for base, d, k in zip(bases, apart, a, strict=True)]
        made = [(v, m) for v, m in zip(run(*points), w, strict=True) if v.requires_grad]
        if not made:
            return [torch.zeros_like(v) for v in bases]
        found = torch.autograd.grad([v for v, _ in made], points, [m for _, m in made], allow_unused=True)
    return [torch.zeros_like(v) if g is None else g.sum(0, keepdim=True) for v, g in zip(bases, found, strict=True)]
