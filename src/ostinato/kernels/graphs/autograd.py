"""A bound call as one node for autograd. Gradients that are themselves differentiated, or mapped, are left to the operator."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import torch
from torch._C._functorch import is_legacy_batchedtensor

from ostinato.kernels.call import named, result_of
from ostinato.kernels.cpu.run.bound import BoundCall
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.cpu.run.saved import Saved
from ostinato.kernels.graphs import ops
from ostinato.kernels.graphs.operator_key import spell
from ostinato.kernels.reading.current import check_unchanged, current
from ostinato.kernels.request import Request, Result
from ostinato.kernels.storage import check_storage
from ostinato.recorded import is_differentiated_forward, is_recorded
from ostinato.types import Tensor

_requires_grad = attrgetter("requires_grad")


class BoundNode:
    """A call on the CPU, as one node for autograd."""

    def __init__(self, call: BoundCall) -> None:
        self._call = call

    def look(self, given: Sequence[Tensor]) -> Any:
        """See `Bound`."""
        call, reading = self._call, current(self._call.spec.cell)
        # Two cells may compute the same (a layer's cell in training and in evaluation). They share one kernel, which belongs to
        # whichever asked last; so the digests decide.
        if reading is not call.kernel.reading and reading.digest != call.kernel.reading.digest:
            return None
        return call.look(given)

    def run(
        self,
        given: Sequence[Tensor],
        now: Any,
        masks: Sequence[Tensor],
        lengths: Tensor | None,
        idle: frozenset[str] = frozenset(),
    ) -> Sequence[Tensor]:
        """See `Bound`."""
        return run_bound(self._call, given, now, masks, lengths, idle)


def run_bound(
    call: BoundCall,
    given: Sequence[Tensor],
    now: Any,
    masks: Sequence[Tensor],
    lengths: Tensor | None,
    idle: frozenset[str],
) -> Sequence[Tensor]:
    """Run a call, as one node for autograd if a tensor requires a gradient."""
    if torch.is_grad_enabled() and any(map(_requires_grad, given)):
        # torch's own `apply` searches for tensors left over from a torch.func transformation, which takes longer than all the rest.
        # Ours are none: they have been checked to have memory.
        return _apply(call, now, masks, lengths, idle, *given)
    return call.forward(given, masks, lengths, False, now)[0]


class _Autograd(torch.autograd.Function):
    """The compiled passes under autograd. Gradients that are themselves differentiated, or mapped, are left to the operator."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        call: BoundCall,
        now: Any,
        masks: Sequence[Tensor],
        lengths: Tensor | None,
        idle: frozenset[str],
        *given: Tensor,
    ) -> tuple[Tensor, ...]:
        outputs, saved = call.forward(given, masks, lengths, True, now)
        assert saved is not None
        known = ctx.known = _Known(call, saved, len(given), lengths)
        ctx.idle = idle
        ctx.set_materialize_grads(False)
        # Everything is saved this way, so that autograd can free it, and hooks on saved tensors can move it.
        ctx.save_for_backward(*known.parts(given, masks, saved))
        # Autograd forbids in-place changes of views that a function returns; the result of `detach` does not count as a view.
        shown = len(outputs) - len(call.spec.cell.states)
        outputs[:shown] = [v.detach() for v in outputs[:shown]]
        if call.spec.every_state and call.spec.layers > 1:
            frozen = call.spec.frozen(ctx.needs_input_grad[_BEFORE:])
            ctx.mark_non_differentiable(*outputs[: frozen * len(call.spec.shown)])
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        known: _Known = ctx.known
        call, wanted, parts = known.call, ctx.needs_input_grad[_BEFORE:], ctx.saved_tensors
        given = parts[: known.given]
        values = [None if g is None else _plain(g) for g in gradients]
        is_batched = any(map(is_legacy_batchedtensor, [g for g in gradients if g is not None]))
        if is_batched or torch.is_grad_enabled() or is_recorded() or is_differentiated_forward():
            check_unchanged(call.spec.cell, known.digest, "the forward pass ran")
            spec, whole = call.spec, call.whole(given, known.route.order)
            every = [*wanted, *[False] * (len(whole) - len(given))]
            # Operators take padded batches only, and the vmap of `is_grads_batched` accepts no rules from outside of torch.
            run = None if is_batched or spec.packed or is_differentiated_forward() else by_operator
            masks = known.masks(parts) or spec.means(whole)
            found = spec.gradients(whole, masks, known.lengths, values, every, run)[: len(given)]
        else:
            known.check(parts, [g for g in values if g is not None])
            found = call.backward(given, known.saved(parts), known.changed, values, wanted, ctx.idle)
        return (*(None,) * _BEFORE, *found)


_BEFORE = 5  # arguments of `_Autograd.forward` before the tensors
_apply = super(torch.autograd.Function, _Autograd).apply  # pyright: ignore[reportAttributeAccessIssue]
_kind, _version = attrgetter("shape", "dtype", "is_cpu"), attrgetter("_version")


def _plain(g: Tensor) -> Tensor | None:
    """The gradient with its true numbers in memory; None for a ZeroTensor of torch, which has none."""
    if g._is_zerotensor():
        return None
    return g.resolve_neg() if g.is_neg() else g


class _Known:
    """What a node of autograd knows besides its tensors.

    Its *parts*, the tensors that are saved, are in this order: those that were given; copies of those that had to be laid out anew;
    masks; outputs; first states of segments; the block.

    Args:
        call: the call that ran.
        saved: what its forward pass saved.
        given: how many tensors were given.
        lengths: the lengths of the rows.
    """

    def __init__(self, call: BoundCall, saved: Saved, given: int, lengths: Tensor | None) -> None:
        self.call, self.route, self.given = call, saved.route, given
        self.lengths = None if lengths is None else lengths.clone()  # the user may change the original
        self.digest = call.kernel.reading.digest
        self._moved: list[int] = []
        self._ends: list[int] = []
        self._kinds: list[tuple[torch.Size, torch.dtype, bool]] = []
        # The outputs may share memory with tensors that the user has and changes. These counters show that, and hold no memory.
        self._counters = [_counter(v) for v in saved.shown]
        self._versions = list(map(_version, self._counters))
        self._fresh = [True]

    @property
    def changed(self) -> bool:
        """Whether an output has been written to since the forward pass."""
        return list(map(_version, self._counters)) != self._versions

    def parts(self, given: Sequence[Tensor], masks: Sequence[Tensor], saved: Saved) -> list[Tensor]:
        """Make the list of all parts; called once, in the forward pass."""
        found = list(given)
        self._moved = [n for n, v in enumerate(given) if saved.given[n] is not v]
        found += [saved.given[n] for n in self._moved]
        self._ends.append(len(found))
        found += masks
        self._ends.append(len(found))
        # `.data` has a version of its own, so that autograd does not complain if the user changes an output.
        found += [v.data for v in saved.shown]
        self._ends.append(len(found))
        for states in saved.segments:
            found += states
        self._ends.append(len(found))
        if saved.block is not None:
            found.append(saved.block)
        self._kinds = list(map(_kind, found))
        return found

    def check(self, parts: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """Raise `RuntimeError` if a tensor has changed its shape, dtype or device, or if its numbers are not in memory."""
        if list(map(_kind, parts)) != self._kinds:
            names = [*self.call.spec.names[: self.given], *[self.call.spec.names[n] for n in self._moved]]
            names += ["what the forward pass saved"] * (len(parts) - len(names))
            for name, v, kind in zip(names, parts, self._kinds, strict=True):
                if _kind(v) != kind:
                    expected, got = (f"{tuple(shape)} of {dtype}" for shape, dtype, _ in (kind, _kind(v)))
                    raise RuntimeError(
                        f"{name} expected {expected} on the CPU, as in the forward pass, got {got} on {v.device}; "
                        "change it after the backward pass"
                    )
        given, others = parts[: self.given], parts[self.given :]
        if not self.call.are_there(given, (*others, *gradients)):
            check_storage(zip(self.call.spec.names, given, strict=False))
            check_storage(("what the forward pass saved", v) for v in others)
            check_storage(("the gradient of what the layer gave", g) for g in gradients)

    def masks(self, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        """The masks as they were drawn."""
        return parts[self._ends[0] : self._ends[1]]

    def saved(self, parts: Sequence[Tensor]) -> Saved:
        """What the forward pass saved, with the block for the first caller only: it is written over.

        Other threads, which may differentiate the same graph, compute the block again.
        """
        call, order = self.call, self.route.order
        _, _, shown, segments = self._ends
        given = list(parts[: self.given])
        for n, v in zip(self._moved, parts[self.given :], strict=False):
            given[n] = v
        masks = call.prepared_masks(self.masks(parts), order)
        states = len(call.spec.cell.states)
        firsts = [list(parts[n : n + states]) for n in range(shown, segments, states)]
        block = parts[-1].contiguous() if len(parts) > segments and self._take() else None
        # Hooks may give back tensors of any strides.
        given = [v.contiguous() for v in call.whole(given, order)]
        return Saved(self.route, given, [v.contiguous() for v in parts[self._ends[1] : shown]], masks, block, firsts)

    def _take(self) -> bool:
        """Take the block; False if somebody else has taken it before."""
        try:
            return self._fresh.pop()
        except IndexError:
            return False


def _counter(v: Tensor) -> Tensor:
    """A tensor without numbers that has the same version counter as `v`."""
    found = v.detach()
    found.data = pool.nothing(v.dtype)
    return found


def by_operator(request: Request) -> Result:
    """Run a request, whose tensors all have one dtype, by the operator that graphs hold."""
    cell = request.cell
    what = spell(cell, request.weights.bias_ih is not None, request.reverse, request.every_state, request.segment)
    given, masks = list(named(request).values()), [request.masks[noise.name] for noise in cell.noise]
    found = ops.recurrence(what, given, masks or given[:1], request.lengths)
    return result_of(request, found)
