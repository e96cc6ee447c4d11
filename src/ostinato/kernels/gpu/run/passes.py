"""Both passes of one direction of a layer: the memory of its kernels, their launches, and what torch computes for all steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from ostinato.kernels.compiler.graph import name_of
from ostinato.kernels.compiler.plan import Plan
from ostinato.kernels.gpu.code.kernel import Emitted, low_states
from ostinato.kernels.gpu.code.memory import gradient_slots, saved_slots
from ostinato.kernels.gpu.run.sizes import LayerSizes
from ostinato.kernels.gpu.run.workspace import Workspace
from ostinato.types import Tensor


@dataclass
class DirectionCall:
    """The tensors of a call of one direction, except the parameters.

    Attributes:
        input: `(T, B, I)`, extras in further columns; zero past a row's end.
        first: the first states by name.
        masks: the cell's noise by name.
        lengths: the lengths of the rows, `(B,)` int64 on the device, or None.
        reverse: whether it runs from the last step to the first.
    """

    input: Tensor
    first: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]
    lengths: Tensor | None = None
    reverse: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """`T`, `B`."""
        return self.input.shape[0], self.input.shape[1]


class Memories:
    """Makes the memories of a call.

    Args:
        like: a tensor on the device.
        acc: the dtype of everything but what enters products.
        low: the dtype of what enters products.
        workspace: the workspace in which memory stays from call to call; None for new memory.
        poison: whether memory is filled with NaN, for tests.
    """

    def __init__(
        self, like: Tensor, acc: torch.dtype, low: torch.dtype, workspace: Workspace | None = None, poison: bool = False
    ) -> None:
        self._device, self.acc, self.low, self._workspace, self._poison = like.device, acc, low, workspace, poison

    def fresh(self, *shape: int, low: bool = False) -> Tensor:
        """Memory that may hold any numbers."""
        dtype = self.low if low else self.acc
        if self._workspace is None:
            found = torch.empty(shape, dtype=dtype, device=self._device)
        else:
            found = self._workspace.take(shape, dtype, self._device)
        return found.fill_(float("nan")) if self._poison else found

    def zeros(self, *shape: int) -> Tensor:
        """Memory of zeros."""
        return self.fresh(*shape).zero_()

    def kept(self, v: Tensor) -> Tensor:
        """A tensor of the caller; with a workspace, copied to memory that stays from call to call."""
        if self._workspace is None:
            return v
        small = v[tuple(slice(0, 1) if n > 1 and v.stride(at) == 0 else slice(None) for at, n in enumerate(v.shape))]
        return self._workspace.take(small.shape, v.dtype, v.device).copy_(small).expand(v.shape)


def beside(v: Tensor) -> Tensor:
    """The same numbers, with those of a row next to each other, as kernels read them; steps or rows may stay expanded."""
    if v.stride(-1) == 1 or v.shape[-1] == 1:
        return v
    one = tuple(slice(0, 1) if n > 1 and v.stride(at) == 0 else slice(None) for at, n in enumerate(v.shape[:-1]))
    return v[(*one, slice(None))].contiguous().expand(v.shape)


def strided(name: str, v: Tensor) -> dict[str, Any]:
    """A tensor, `(T, B, W)` or `(B, W)` for all steps, and its two strides, by their names in the kernel."""
    t = v.stride(0) if v.dim() == 3 else 0
    return {name: v, f"{name}_t": t, f"{name}_b": v.stride(-2)}


class Passes:
    """The passes of a cell at the sizes of a layer.

    Args:
        plan: the plan of the cell's step.
        sizes: the sizes of the layer.
    """

    def __init__(self, plan: Plan, sizes: LayerSizes) -> None:
        self._plan, self._sizes = plan, sizes
        self._widths = sizes.widths
        self._saved, self._gradients = saved_slots(plan), gradient_slots(plan)

    def forward(
        self,
        call: DirectionCall,
        weights: Mapping[str, Tensor],
        emitted: Emitted,
        programs: int,
        memories: Memories,
        launch: Any,
    ) -> dict[str, Tensor]:
        """Run a forward part.

        Args:
            call: the tensors of the call besides the parameters.
            weights: all parameters by name, matrices in the dtype of the products.
            emitted: the source of the part, "inference" or "training".
            programs: the programs of the grid along the units.
            memories: the object that makes memories.
            launch: runs the kernel with memories by name.

        Returns:
            What the backward pass reads, by the names of the memories, such as "state_h" with `T + 1` positions, "low_h",
            "saved_H", "enters_0" and "sums"; in inference only what that part uses.
        """
        plan, widths, (steps, rows) = self._plan, self._widths, call.shape
        schedule = plan.inference if emitted.part == "inference" else plan.training
        kept: dict[str, Tensor] = {}
        used: dict[str, Any] = self._given(call, weights, memories)
        inputs = self._sizes.inputs
        if "x" in emitted.arguments:
            used["x"] = memories.kept(F.linear(call.input[..., :inputs].to(memories.low), weights["weight_ih"]))
        position = steps if call.reverse else 0
        for name, first in call.first.items():
            width = widths[plan.program.letters[name]]
            kept[f"state_{name}"] = state = memories.fresh(steps + 1, rows, width)
            state[position].copy_(first)
            if name in low_states(plan, memories.low):
                kept[f"low_{name}"] = low = memories.fresh(steps + 1, rows, width, low=True)
                low[position].copy_(first)
        for k, product in enumerate(plan.program.products):
            if product.is_of_input:
                used[f"u_{k}"] = self._of_input(k, call.input, weights, memories)
            else:
                used[f"u_{k}"] = memories.fresh(2, rows, product.pieces * widths[product.space])
                if product.enters.op not in ("state", "input"):
                    kept[f"enters_{k}"] = memories.fresh(steps, rows, widths[product.entered], low=True)
        for space, slots in self._saved.items():
            if slots:
                kept[f"saved_{space}"] = memories.fresh(steps, rows, slots * widths[space], low=True)
        if schedule.rows:
            kept["sums"] = memories.fresh(steps, rows, len(schedule.rows))
            used["parts"] = memories.fresh(2, len(schedule.rows), programs, rows)
        used |= self._scratch(schedule.scratch, rows, memories)
        launch(emitted, steps, rows, call.reverse, used | kept)
        return {name: v for name, v in kept.items() if name in emitted.arguments or name.startswith("state_")}

    def _given(self, call: DirectionCall, weights: Mapping[str, Tensor], memories: Memories) -> dict[str, Any]:
        """The memories and strides that both passes read, by name."""
        used: dict[str, Any] = {
            f"matrix_{name}" if v.dim() == 2 else f"parameter_{name}": memories.kept(v) for name, v in weights.items()
        }
        for name, mask in call.masks.items():
            used |= strided(f"mask_{name}", memories.kept(beside(mask)))
        schedules = (self._plan.training, self._plan.backward)
        read = {name_of(node) for schedule in schedules for node in schedule.found if node.op == "input"}
        read |= {name_of(p.enters) for p in self._plan.program.products if p.enters.op == "input"}
        input = memories.kept(call.input) if read else call.input
        for name in read:
            first, width = self._sizes.inputs_at[name]
            used |= strided(f"input_{name}", input[..., first : first + width])
        if call.lengths is not None:
            used["lengths"] = memories.kept(call.lengths)
        return used

    def _scratch(self, counts: Mapping[str, int], rows: int, memories: Memories) -> dict[str, Tensor]:
        return {
            f"scratch_{space}": memories.fresh(2, rows, count * self._widths[space])
            for space, count in counts.items()
            if count
        }

    def _rows_of(self, number: int) -> tuple[tuple[int, ...], int]:
        """The blocks of rows of a product's matrix, one for each piece, and the number of rows of a block."""
        product = self._plan.program.products[number]
        return (product.gates, self._widths["H"]) if product.gates else ((0,), self._widths[product.space])

    def _of_input(self, k: int, input: Tensor, weights: Mapping[str, Tensor], memories: Memories) -> Tensor:
        """Compute a product of an unchanged input for all time steps: (T, B, pieces, units)."""
        product = self._plan.program.products[k]
        gates, units = self._rows_of(k)
        entered = self._input(input, name_of(product.enters)).to(memories.low)
        return memories.kept(F.linear(entered, _blocks_of(weights[product.matrix], gates, units)))

    def _input(self, input: Tensor, name: str) -> Tensor:
        first, width = self._sizes.inputs_at[name]
        return input[..., first : first + width]

    # backward

    def backward(
        self,
        call: DirectionCall,
        weights: Mapping[str, Tensor],
        kept: Mapping[str, Tensor],
        outside: Mapping[str, Tensor | None],
        last: Mapping[str, Tensor | None],
        emitted: Emitted,
        grid: tuple[int, int],
        memories: Memories,
        launch: Any,
        wanted: Sequence[str],
        idle: frozenset[str] = frozenset(),
    ) -> dict[str, Tensor]:
        """Run the backward part.

        Args:
            call: as in the forward pass.
            weights: as in the forward pass.
            kept: what the forward pass returned.
            outside: the gradient of the outputs of each state, `(T, B, W)`.
            last: the gradient of each last state, `(B, W)`.
            emitted: the source of the part.
            grid: the number of programs along the units, and along the rows.
            memories: the object that makes memories.
            launch: runs the kernel.
            wanted: the names of the tensors whose gradients are wanted: "input", parameters, and such as "first h".
            idle: parts of the input whose gradient may be zero, as it is not wanted; see `Request`.

        Returns:
            The gradients by the names in `wanted`.
        """
        plan, widths, (steps, rows) = self._plan, self._widths, call.shape
        schedule, letters = plan.backward, plan.program.letters
        used: dict[str, Any] = self._given(call, weights, memories) | dict(kept)
        nothing = memories.zeros(1, max(widths.values())).expand(rows, -1)
        for name in call.first:
            shown, width = outside.get(name), widths[letters[name]]
            shown = nothing[:, :width] if shown is None else memories.kept(beside(shown))
            used |= strided(f"outside_{name}", shown)
            used[f"carry_{name}"] = carry = memories.fresh(2, rows, width)
            carry[0].zero_() if (seed := last.get(name)) is None else carry[0].copy_(seed)
        for space in plan.program.spaces:
            if count := self._gradients[space][1]:
                used[f"gradient_{space}"] = memories.fresh(steps, rows, count * widths[space], low=True)
            if count := len(plan.parameters[space]):
                used[f"dparameters_{space}"] = memories.zeros(grid[1], count, widths[space])
        for k, product in enumerate(plan.program.products):
            if k not in plan.behind:
                used[f"dv_{k}"] = memories.fresh(2, rows, widths[product.entered])
        for name in plan.dinputs:
            used[f"dinput_{name}"] = memories.fresh(steps, rows, widths[letters[name]])
        if schedule.rows:
            used["late_sums"] = memories.fresh(2, rows, len(schedule.rows))
            used["late_parts"] = memories.fresh(2, len(schedule.rows), grid[0], rows)
        used |= self._scratch(schedule.scratch, rows, memories)
        launch(emitted, steps, rows, call.reverse, used)
        found = {f"first {name}": used[f"carry_{name}"][steps % 2].clone() for name in call.first}
        found |= self._vectors(used, wanted)
        found |= self._matrices(call, weights, used, wanted)
        if "input" in wanted:
            found["input"] = self._input_gradient(call, weights, used, idle)
        return {name: v for name, v in found.items() if name in wanted}

    def _slots(self, used: Mapping[str, Any], number: int | None) -> tuple[Tensor, tuple[int, ...]]:
        """The gradients of the result of a product (None: `W_ih x`), `(T B, slots units)`, and the piece in each slot."""
        slots = self._plan.dx if number is None else self._plan.du[number]
        first, units = slots.first - self._gradients[slots.space][0], self._widths[slots.space]
        gradient: Tensor = used[f"gradient_{slots.space}"]
        return gradient.flatten(0, 1)[:, first * units : (first + len(slots.order)) * units], slots.order

    def _vectors(self, used: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Tensor]:
        plan, shapes = self._plan, self._sizes.shapes
        outside = self._sizes.summed_outside
        found: dict[str, Tensor] = {}
        sums: dict[tuple[str, int], Tensor] = {}
        for (name, piece), place in plan.parameter_slots.items():
            if name not in wanted:
                continue
            space, slot = place
            units = self._widths[space]
            if place not in sums:
                if (at := outside.get(place)) is not None:
                    first = (at - self._gradients[space][0]) * units
                    part = used[f"gradient_{space}"].flatten(0, 1)[:, first : first + units]
                    sums[place] = part.sum(0, dtype=_wide(part))
                else:
                    sums[place] = used[f"dparameters_{space}"][:, slot].sum(0)
            if name not in found:
                found[name] = sums[place].new_zeros(shapes[name])
            found[name][piece * units : (piece + 1) * units] = sums[place]
        return found

    def _matrices(
        self, call: DirectionCall, weights: Mapping[str, Tensor], used: Mapping[str, Any], wanted: Sequence[str]
    ) -> dict[str, Tensor]:
        """The gradients of matrices; that of each product is one product over all time steps."""
        found: dict[str, Tensor] = {}
        if "weight_ih" in wanted and self._plan.dx.order:
            gradient, order = self._slots(used, None)
            entered = call.input[..., : self._sizes.inputs].flatten(0, 1).to(gradient.dtype)
            self._add(found, "weight_ih", gradient, entered, order, self._widths["H"], 1)
        for k, product in enumerate(self._plan.program.products):
            if product.matrix in wanted:
                gradient, order = self._slots(used, k)
                gates, units = self._rows_of(k)
                entered = self._entered(k, call, used).flatten(0, 1).to(gradient.dtype)
                self._add(found, product.matrix, gradient, entered, [gates[n] for n in order], units, product.heads)
        return found

    def _entered(self, k: int, call: DirectionCall, used: Mapping[str, Any]) -> Tensor:
        """What entered a product in all time steps."""
        product = self._plan.program.products[k]
        if product.enters.op == "input":
            return self._input(call.input, name_of(product.enters))
        if product.enters.op != "state":
            return used[f"enters_{k}"]
        name = name_of(product.enters)
        every: Tensor = used[f"low_{name}"] if f"low_{name}" in used else used[f"state_{name}"]
        before = every[1:] if call.reverse else every[:-1]
        if call.lengths is not None:  # the state that an ended row keeps may be NaN, and zero times NaN is NaN
            past = torch.arange(len(before), device=before.device)[:, None] >= call.lengths
            before = before.masked_fill(past[:, :, None], 0)
        return before

    def _add(
        self,
        found: dict[str, Tensor],
        name: str,
        gradient: Tensor,
        entered: Tensor,
        rows: Sequence[int],
        units: int,
        heads: int,
    ) -> None:
        """Add a product's gradient to blocks of rows of the gradient of its matrix."""
        if name not in found:
            found[name] = gradient.new_zeros(self._sizes.shapes[name])
        if heads == 1:
            product = gradient.mT @ entered
        else:
            each = gradient.unflatten(1, (len(rows), heads, units // heads))
            product = torch.einsum("rgnj,rnk->gnjk", each, entered.unflatten(1, (heads, -1))).flatten(0, 2)
        blocks = found[name].unflatten(0, (-1, units))
        for n, row in _runs(rows):
            blocks[row.start : row.stop] += product.unflatten(0, (-1, units))[n : n + len(row)]

    def _input_gradient(
        self, call: DirectionCall, weights: Mapping[str, Tensor], used: Mapping[str, Any], idle: frozenset[str]
    ) -> Tensor:
        """The gradient of the input, with its extras in further columns; zeros for idle parts."""
        plan, widths = self._plan, self._widths
        parts: dict[str, Tensor] = {name: used[f"dinput_{name}"] for name in plan.dinputs if name not in idle}
        if plan.dx.order and "x" not in idle:
            gradient, order = self._slots(used, None)
            weight = _blocks_of(weights["weight_ih"], order, widths["H"])
            self._join(parts, "x", (gradient @ weight).view(*call.shape, -1))
        for k, name in plan.behind.items():
            if name in idle:
                continue
            gradient, order = self._slots(used, k)
            gates, units = self._rows_of(k)
            weight = _blocks_of(weights[plan.program.products[k].matrix], [gates[n] for n in order], units)
            self._join(parts, name, (gradient @ weight).view(*call.shape, -1))
        wide = next(iter(parts.values()), call.input)
        every = [parts.get(name) for name in self._sizes.inputs_at]
        sizes = [width for _, width in self._sizes.inputs_at.values()]
        whole = [wide.new_zeros(*call.shape, n) if v is None else v for v, n in zip(every, sizes, strict=True)]
        # Cloned if the time loop wrote it, as that may be memory which is used again.
        return (
            whole[0].clone()
            if len(whole) == 1 and plan.dinputs
            else whole[0]
            if len(whole) == 1
            else torch.cat([v.to(wide.dtype) for v in whole], -1)
        )

    @staticmethod
    def _join(parts: dict[str, Tensor], name: str, more: Tensor) -> None:
        parts[name] = more if name not in parts else parts[name] + more


def _wide(v: Tensor) -> torch.dtype:
    return torch.float32 if v.dtype in (torch.bfloat16, torch.float16) else v.dtype


def _blocks_of(matrix: Tensor, gates: Sequence[int], units: int) -> Tensor:
    """Blocks of `units` rows of a matrix, in the order of `gates`."""
    runs = [(row.start, row.stop) for _, row in _runs(gates)]
    parts = [matrix[a * units : b * units] for a, b in runs]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _runs(rows: Sequence[int]) -> list[tuple[int, range]]:
    """The runs of consecutive numbers in a sequence: for each the index of its first number, and the numbers."""
    found: list[tuple[int, range]] = []
    for n, row in enumerate(rows):
        if found and found[-1][1].stop == row:
            found[-1] = (found[-1][0], range(found[-1][1].start, row + 1))
        else:
            found.append((n, range(row, row + 1)))
    return found
