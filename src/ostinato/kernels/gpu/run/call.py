"""One direction of one layer as a node for autograd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._C._functorch import is_legacy_batchedtensor

from ostinato.kernels.call import CallSpec, operand_names
from ostinato.kernels.gpu.run.kernel import SizedKernels, SourceKey
from ostinato.kernels.gpu.run.launch import Launcher, LaunchFailed, grid_of
from ostinato.kernels.gpu.run.passes import DirectionCall, Memories
from ostinato.kernels.gpu.run.ways import Way
from ostinato.kernels.gpu.run.workspace import Lease, Recorder
from ostinato.kernels.reading.current import check_unchanged
from ostinato.types import Tensor

_FIRST = "first "  # the beginning of the names of first states in `ostinato.kernels.call`

poison = False  # whether new memory is filled with NaN; tests set it


def recorder_of(device: torch.device) -> Recorder | None:
    """An object that records launches on a device; None if they cannot be recorded, or are being recorded already."""
    return Recorder() if device.type == "cuda" and not torch.cuda.is_current_stream_capturing() else None


@dataclass(frozen=True)
class GPUCall:
    """Everything of a call of the kernels except its tensors.

    Attributes:
        spec: the constants of the call.
        kernels: the kernels at the sizes of the layer.
        way: the way in which its loops run.
        dtype: the dtype of what enters products.
        digest: the digest of what the step computed when it was called.
    """

    spec: CallSpec
    kernels: SizedKernels
    way: Way
    dtype: torch.dtype
    digest: str | None

    @property
    def acc(self) -> torch.dtype:
        """The dtype of everything but what enters products."""
        return torch.float64 if self.dtype is torch.float64 else torch.float32

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors that may have a gradient."""
        return operand_names(self.spec.cell, self.spec.bias)

    def _lease(self, call: DirectionCall, part: str) -> Lease | None:
        """Lease memory that stays, if the call has many launches, which are worth recording; None for new memory."""
        device = call.input.device
        if self.way.kind != "steps" or recorder_of(device) is None:
            return None
        stream = torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0
        kind = part, self.way, self.dtype, call.shape, call.lengths is None, call.reverse, device, stream
        return self.kernels.workspaces.lease(kind)

    def _memories(self, call: DirectionCall, lease: Lease | None) -> Memories:
        return Memories(call.input, self.acc, self.dtype, None if lease is None else lease.workspace, poison)

    def _launcher(self, call: DirectionCall, part: str, lease: Lease | None) -> Launcher:
        in_one = self.way.kind == "persistent"
        workspace = None if lease is None else lease.workspace
        recorder = recorder_of(call.input.device)
        return Launcher(self.way.blocks(part), self.kernels.sizes.widest, in_one, workspace, recorder)

    def direction(self, given: Sequence[Tensor], masks: Sequence[Tensor], lengths: Tensor | None) -> DirectionCall:
        """The tensors of the call except the parameters."""
        by_name = dict(zip(self.names, given, strict=True))
        cell = self.spec.cell
        first = {name: by_name[_FIRST + name] for name in cell.states}
        noise = {each.name: mask for each, mask in zip(cell.noise, masks, strict=True)}
        return DirectionCall(by_name["input"], first, noise, lengths, self.spec.directions[0])

    def weights(self, given: Sequence[Tensor]) -> dict[str, Tensor]:
        """The parameters by name; matrices are in the dtype of the products."""
        found = dict(zip(self.names, given, strict=True))
        found = {name: found[name] for name in self.spec.parameters}
        return {name: (v.to(self.dtype) if v.dim() == 2 else v).contiguous() for name, v in found.items()}

    def forward(
        self, given: Sequence[Tensor], masks: Sequence[Tensor], lengths: Tensor | None, save: bool
    ) -> tuple[list[Tensor], dict[str, Tensor], DirectionCall, Lease | None]:
        """Run the forward pass.

        Returns:
            The states that are shown, `(T, B, W)`, then the last states; what the backward pass needs; the tensors that were read;
            the lease of the memory of what the backward pass needs.
        """
        call = self.direction(given, masks, lengths)
        past = None
        if lengths is not None:
            past = (torch.arange(call.shape[0], device=lengths.device)[:, None] >= lengths)[:, :, None]
            call.input = call.input.masked_fill(past, 0)  # so that not even NaN in the padding reaches a gradient
        call.input = call.input.contiguous()
        part, sizes = "training" if save else "inference", self.kernels.sizes
        emitted = self.kernels.emitted(SourceKey(part, self.way, self.dtype, lengths is not None))
        lease = self._lease(call, part)
        programs, _ = grid_of(self.way.forward, sizes.widest, call.shape[1])
        memories, launch = self._memories(call, lease), self._launcher(call, part, lease)
        kept = self.kernels.passes.forward(call, self.weights(given), emitted, programs, memories, launch)
        outputs = [self._shown(kept, name, call, past) for name in self.spec.shown]
        end = 0 if call.reverse else call.shape[0]
        outputs += [kept[f"state_{name}"][end].clone() for name in self.spec.cell.states]
        return outputs, kept, call, lease

    def _shown(self, kept: Mapping[str, Tensor], name: str, call: DirectionCall, past: Tensor | None) -> Tensor:
        # A copy, so that a caller who changes the output in place does not change what the backward pass reads.
        every = kept[f"state_{name}"]
        every = every[:-1] if call.reverse else every[1:]
        return every.clone() if past is None else every.masked_fill(past, 0)

    def backward(
        self,
        given: Sequence[Tensor],
        call: DirectionCall,
        kept: Mapping[str, Tensor],
        gradients: Sequence[Tensor | None],
        wanted: Sequence[bool],
        idle: frozenset[str],
    ) -> list[Tensor | None]:
        """Run the backward pass. Returns the gradients of those of `given` that are wanted; `idle`: see `Request`."""
        spec = self.spec
        outside = dict(zip(spec.shown, gradients, strict=False))
        last = dict(zip(spec.cell.states, gradients[len(spec.shown) :], strict=True))
        names = [name for name, here in zip(self.names, wanted, strict=True) if here]
        sizes, part = self.kernels.sizes, "backward"
        emitted = self.kernels.emitted(SourceKey(part, self.way, self.dtype, call.lengths is not None))
        lease = self._lease(call, part)
        found = self.kernels.passes.backward(
            call,
            self.weights(given),
            kept,
            outside,
            last,
            emitted,
            grid_of(self.way.backward, sizes.widest, call.shape[1]),
            self._memories(call, lease),
            self._launcher(call, part, lease),
            names,
            idle,
        )
        return [
            None if not here or name not in found else found[name].to(v.dtype)
            for name, v, here in zip(self.names, given, wanted, strict=True)
        ]


def run_call(
    call: GPUCall,
    given: Sequence[Tensor],
    masks: Sequence[Tensor],
    lengths: Tensor | None,
    idle: frozenset[str] = frozenset(),
) -> Sequence[Tensor]:
    """Run a call, as one node for autograd; gives the states that are shown, then the last ones, in float32 or float64."""
    if torch.is_grad_enabled() and any(v.requires_grad for v in given):
        return _OnGPU.apply(call, masks, lengths, idle, *given)  # pyright: ignore[reportReturnType]
    return call.forward(given, masks, lengths, save=False)[0]


_BEFORE = 4  # arguments of `_OnGPU.forward` before the tensors


class _OnGPU(torch.autograd.Function):
    """The kernels under autograd. Gradients that are themselves differentiated, or mapped, are left to the reference."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        call: GPUCall,
        masks: Sequence[Tensor],
        lengths: Tensor | None,
        idle: frozenset[str],
        *given: Tensor,
    ) -> tuple[Tensor, ...]:
        # The user may change the original.
        lengths = None if lengths is None else lengths.clone()
        outputs, kept, read, ctx.lease = call.forward(given, masks, lengths, save=True)
        ctx.set_materialize_grads(False)
        ctx.call, ctx.lengths, ctx.masks, ctx.names = call, lengths, len(masks), tuple(kept)
        ctx.given, ctx.idle = len(given), idle
        # Everything is saved this way, so that autograd can free it, and hooks on saved tensors can move it.
        ctx.save_for_backward(*given, *masks, read.input, *kept.values())
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        call: GPUCall = ctx.call
        parts: tuple[Tensor, ...] = ctx.saved_tensors
        wanted = ctx.needs_input_grad[_BEFORE:]
        given, masks = parts[: ctx.given], parts[ctx.given : ctx.given + ctx.masks]
        is_batched = any(g is not None and is_legacy_batchedtensor(g) for g in gradients)
        found = None
        if not is_batched and not torch.is_grad_enabled():
            read = call.direction(given, masks, ctx.lengths)
            read.input = parts[ctx.given + ctx.masks]
            kept = dict(zip(ctx.names, parts[ctx.given + ctx.masks + 1 :], strict=True))
            try:
                found = call.backward(given, read, kept, gradients, wanted, ctx.idle)
            except LaunchFailed as reason:
                call.kernels.fail(call.way.kind, str(reason), call.spec.cell.name, read.input.device)
        if found is None:
            check_unchanged(call.spec.cell, call.digest, "the forward pass ran")
            found = call.spec.gradients(given, masks, ctx.lengths, gradients, wanted)
        return (*(None,) * _BEFORE, *found)
