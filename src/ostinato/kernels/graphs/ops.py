"""The compiled passes as operators of PyTorch: what torch.compile, torch.export and torch.func see of a recurrence.

`torch.ops.ostinato.recurrence` and its gradient `torch.ops.ostinato.recurrence_backward` are pure functions of tensors, with a
shape rule, a formula for autograd and a rule for vmap. A formula registered by `torch.library.custom_op` does not work in
torch.func, so these are registered by hand, for one level of its transformations at a time. The gradient of a gradient is computed
by the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch._C._functorch import is_legacy_batchedtensor
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd.function import _SingleLevelFunction

from ostinato.kernels.call import CallSpec
from ostinato.kernels.graphs import mapped
from ostinato.kernels.graphs.operator_key import digest_of, read
from ostinato.kernels.reading.current import check_unchanged, current
from ostinato.kernels.storage import check_storage
from ostinato.types import Tensor

_LIBRARY = torch.library.Library("ostinato", "FRAGMENT")
_TAGS = (torch.Tag.pt2_compliant_tag,)
# `what` is a text of `operator_key.spell`; `given` and `masks` have the order of `CallSpec`. Masks beyond those of the cell are
# ignored: programs of AOTInductor cannot pass an empty list, and torch.vmap does not map an optional list. Gives the states that
# are shown at all steps, then the last states, then, with `save`, what `saved_list.pack` gives.
_LIBRARY.define(
    "recurrence(str what, Tensor[] given, Tensor[] masks, Tensor? lengths, bool save=False) -> Tensor[]", tags=_TAGS
)
# `kept`: the outputs for all steps and what was saved; if it is empty, the forward pass is computed again. `gradients`: the
# gradients of those outputs for which `present` is true. Gives the gradients of those of `given` for which `wanted` is true.
_LIBRARY.define(
    "recurrence_backward(str what, Tensor[] given, Tensor[] masks, Tensor? lengths, Tensor[] kept, Tensor[] gradients, "
    "bool[] present, bool[] wanted) -> Tensor[]",
    tags=_TAGS,
)
recurrence = torch.ops.ostinato.recurrence.default
recurrence_backward = torch.ops.ostinato.recurrence_backward.default


def _masks(spec: CallSpec, masks: Sequence[Tensor]) -> list[Tensor]:
    return list(masks[: len(spec.cell.noise)])


def _check(spec: CallSpec, given: Sequence[Tensor], masks: Sequence[Tensor], lengths: Tensor | None) -> None:
    """Raise `RuntimeError` if the numbers of a tensor are not in memory."""
    check_storage(zip(spec.names, given, strict=True))
    check_storage(zip((noise.name for noise in spec.cell.noise), masks, strict=False))
    check_storage([] if lengths is None else [("lengths", lengths)])


def _spread(values: Sequence[Tensor], at: Sequence[bool]) -> list[Tensor | None]:
    """Spread `values` over a list with one entry for each of `at`: the next value where it is true, else None."""
    found = iter(values)
    return [next(found) if here else None for here in at]


def gradients(
    what: str,
    given: Sequence[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    kept: Sequence[Tensor],
    outputs: Sequence[Tensor | None],
    wanted: list[bool],
) -> list[Tensor | None]:
    """Call `recurrence_backward` with lists that may hold None.

    In `outputs`, the gradients of the outputs, None stands for zeros; in the result it stands for a gradient that is not wanted.
    """
    values = [g for g in outputs if g is not None]
    if not values:
        return [None] * len(wanted)
    present = [g is not None for g in outputs]
    return _spread(recurrence_backward(what, list(given), masks, lengths, list(kept), values, present, wanted), wanted)


# what is computed


def _check_lengths(lengths: Tensor | None, steps: int) -> None:
    # Checked here, as a layer in a graph has tensors without values and cannot check them.
    if lengths is not None and not bool(((lengths >= 0) & (lengths <= steps)).all()):
        low, high = int(lengths.min()), int(lengths.max())
        raise ValueError(f"lengths expected numbers from 0 to the {steps} time steps of the input, got {low} to {high}")


def _forward(
    what: str, given: list[Tensor], masks: list[Tensor], lengths: Tensor | None, save: bool = False
) -> list[Tensor]:
    from ostinato.kernels.cpu.run.bound import bound
    from ostinato.kernels.cpu.run.saved_list import pack

    spec = read(what)
    _check(spec, given, masks, lengths)
    _check_lengths(lengths, given[0].shape[0])
    if save:
        check_unchanged(spec.cell, digest_of(what), "its graph was made")
    elif current(spec.cell).refusal is not None:  # what the step reads has changed since the graph was made
        return spec.reference(given, _masks(spec, masks), lengths)
    call = bound(spec, given)
    call.check_parameters(given)
    outputs, saved = call.forward(given, _masks(spec, masks), lengths, save=save and not spec.segment)
    return [*outputs, *(pack(call, given, saved) if save else [])]


def _backward(
    what: str,
    given: list[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    kept: list[Tensor],
    gradients: list[Tensor],
    present: list[bool],
    wanted: list[bool],
) -> list[Tensor]:
    from ostinato.kernels.cpu.run.bound import bound
    from ostinato.kernels.cpu.run.saved_list import unpack

    spec = read(what)
    _check(spec, given, masks, lengths)
    check_storage(("what the forward pass kept", v) for v in kept)
    check_storage(("the gradient of what the layer gave", g) for g in gradients)
    check_unchanged(spec.cell, digest_of(what), "the forward pass ran")
    call, masks = bound(spec, given), _masks(spec, masks)
    if kept:
        saved = unpack(call, given, masks, lengths, kept)
    else:
        _, saved = call.forward(given, masks, lengths, save=True)
    assert saved is not None
    found = call.backward(given, saved, False, _spread(gradients, present), wanted)
    # If no step is computed, the gradient of a first state is that of the last state, and an operator must not return an argument.
    return [v.clone() if any(v is g for g in gradients) else v for v in found if v is not None]


_LIBRARY.impl("recurrence", _forward, "CPU")
_LIBRARY.impl("recurrence_backward", _backward, "CPU")


# shapes


@torch.library.register_fake("ostinato::recurrence", lib=_LIBRARY)
def _forward_shapes(
    what: str, given: list[Tensor], masks: list[Tensor], lengths: Tensor | None, save: bool = False
) -> list[Tensor]:
    from ostinato.kernels.cpu.run.saved_list import shapes

    spec, input = read(what), given[0]
    width = {name: v.shape[-1] for name, v in zip(spec.cell.states, given[-len(spec.cell.states) :], strict=True)}
    steps, rows = input.shape[:2]
    outputs = [(steps, rows, width[name]) for name in spec.shown]
    outputs += [(rows, each) for each in width.values()]
    saved = shapes(spec, given) if save else []
    return [input.new_empty(shape) for shape in (*outputs, *saved)]


@torch.library.register_fake("ostinato::recurrence_backward", lib=_LIBRARY)
def _backward_shapes(
    what: str,
    given: list[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    kept: list[Tensor],
    gradients: list[Tensor],
    present: list[bool],
    wanted: list[bool],
) -> list[Tensor]:
    return [v.new_empty(v.shape) for v, here in zip(given, wanted, strict=True) if here]


# gradients


def _below(op: Any, keyset: Any, *arguments: Any) -> list[Tensor]:
    """Call the operator below autograd."""
    with torch._C._AutoDispatchBelowAutograd():
        return op.redispatch(keyset & torch._C._after_autograd_keyset, *arguments)


def _apply(function: type[_SingleLevelFunction], op: Any, keyset: Any, call: tuple[Any, ...], *tensors: Tensor) -> Any:
    """Run an autograd.Function around the operator. In torch.func it is one level of several."""

    def below(*arguments: Any) -> list[Tensor]:
        with torch.enable_grad():  # within the function gradients are off, but the outer levels need them
            return _below(op, keyset, *arguments)

    with enable_single_level_autograd_function():
        return cast(Any, function).apply(below, call, *tensors)


def _tracked(tensors: Sequence[Tensor]) -> bool:
    return torch.is_grad_enabled() and any(v.requires_grad for v in tensors)


class _Recurrence(_SingleLevelFunction):
    """The formula of `recurrence`.

    `call` holds the text, masks and lengths; the number of outputs for all steps; and the number of outputs without what is saved.
    """

    @staticmethod
    def forward(ctx: Any, below: Callable[..., list[Tensor]], call: tuple[Any, ...], *given: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        what, masks, lengths, shown, outputs = call
        ctx.set_materialize_grads(False)
        found = below(what, list(given), masks, lengths, True)
        kept = [*found[:shown], *found[outputs:]] if len(found) > outputs else []
        ctx.mark_non_differentiable(*found[outputs:])
        ctx.save_for_backward(*given, *kept)
        ctx.call = call
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *found: Tensor | None) -> Any:
        what, masks, lengths, _, outputs = ctx.call
        wanted = list(ctx.needs_input_grad[2:])
        if any(g is not None and is_legacy_batchedtensor(g) for g in found):  # whose vmap takes no rules of ours
            spec, given = read(what), ctx.saved_tensors[: len(wanted)]
            return None, None, *spec.gradients(given, _masks(spec, masks), lengths, found[:outputs], wanted)
        given, kept = ctx.saved_tensors[: len(wanted)], ctx.saved_tensors[len(wanted) :]
        return None, None, *gradients(what, given, masks, lengths, kept, found[:outputs], wanted)


class _Gradient(_SingleLevelFunction):
    """The formula of `recurrence_backward`. `call` holds its arguments except the tensors that may have gradients."""

    @staticmethod
    def forward(ctx: Any, below: Callable[..., list[Tensor]], call: tuple[Any, ...], *tensors: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        what, masks, lengths, kept, present, wanted = call
        given, gradients = tensors[: len(wanted)], tensors[len(wanted) :]
        ctx.call = what, masks, lengths, present, wanted
        ctx.save_for_backward(*tensors)
        return tuple(below(what, list(given), masks, lengths, kept, list(gradients), present, wanted))

    @staticmethod
    def backward(ctx: Any, *second: Tensor) -> Any:
        what, masks, lengths, present, wanted = ctx.call
        spec = read(what)
        check_unchanged(spec.cell, digest_of(what), "the forward pass ran")

        def first(given: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
            def shown(*given: Tensor) -> list[Tensor]:
                return [
                    v
                    for v, here in zip(spec.reference(given, _masks(spec, masks), lengths), present, strict=True)
                    if here
                ]

            found = torch.func.vjp(shown, *given)[1](list(gradients))
            return [v for v, here in zip(found, wanted, strict=True) if here]

        given, gradients = ctx.saved_tensors[: len(wanted)], ctx.saved_tensors[len(wanted) :]
        with torch.autocast("cpu", enabled=False):
            dgiven, dgradients = torch.func.vjp(first, given, gradients)[1](list(second))
        return None, None, *dgiven, *dgradients


def _forward_tracked(
    keyset: Any, what: str, given: list[Tensor], masks: list[Tensor], lengths: Tensor | None, save: bool = False
) -> list[Tensor]:
    if not _tracked(given):
        return _below(recurrence, keyset, what, given, masks, lengths, save)
    of = read(what)
    outputs = len(of.shown) + len(of.cell.states)
    found = _apply(_Recurrence, recurrence, keyset, (what, masks, lengths, len(of.shown), outputs), *given)
    return list(found if save else found[:outputs])


def _backward_tracked(
    keyset: Any,
    what: str,
    given: list[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    kept: list[Tensor],
    gradients: list[Tensor],
    present: list[bool],
    wanted: list[bool],
) -> list[Tensor]:
    arguments = (what, given, masks, lengths, kept, gradients, present, wanted)
    if not _tracked([*given, *gradients]):
        return _below(recurrence_backward, keyset, *arguments)
    call = (what, masks, lengths, kept, present, wanted)
    return list(_apply(_Gradient, recurrence_backward, keyset, call, *given, *gradients))


_LIBRARY.impl("recurrence", _forward_tracked, "Autograd", with_keyset=True)
_LIBRARY.impl("recurrence_backward", _backward_tracked, "Autograd", with_keyset=True)
torch.library.register_vmap("ostinato::recurrence", mapped.forward, lib=_LIBRARY)
torch.library.register_vmap("ostinato::recurrence_backward", mapped.backward, lib=_LIBRARY)
