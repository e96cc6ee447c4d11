"""The weights of a stack of layers, in the order in which a streaming step reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.cpu.stream.held import held_as
from ostinato.kernels.cpu.stream.kernel import StreamKernel
from ostinato.types import Tensor


@dataclass(frozen=True)
class LayerTensors:
    """The parameters of one layer, all of one dtype, float32 or float64.

    Attributes:
        weight_ih: `(G H, I)`.
        matrices: `weight_hh` and the cell's own matrices by name.
        vectors: the biases and the cell's own vectors by name.
        widths: the size of every letter.
        extras: the width of each extra.
        masks: for each noise by name, its mean, which is the same for every unit.
    """

    weight_ih: Tensor
    matrices: Mapping[str, Tensor]
    vectors: Mapping[str, Tensor]
    widths: Mapping[str, int]
    extras: Mapping[str, int] = field(default_factory=dict)
    masks: Mapping[str, float] = field(default_factory=dict)


class PackedStack:
    """The weights of a stack, as the code reads them. Several streams may share one.

    Args:
        kernel: the kernel of the layers' cell.
        layers: the tensors of the layers, from the first to the last.
        residual: whether the output of every layer but the first is added to its input.
    """

    @torch.inference_mode(False)  # these tensors are written to again, in inference mode or not
    def __init__(self, kernel: StreamKernel, layers: Sequence[LayerTensors], residual: bool) -> None:
        self.kernel, self.residual = kernel, residual
        self.widths = [{**layer.widths, **self._blocks_of_heads(layer.widths)} for layer in layers]
        self.extras = layers[0].extras
        self.inputs = [layer.weight_ih.shape[1] for layer in layers]
        self.records = [self._record(layer) for layer in layers]

    def pack(self, layers: Sequence[LayerTensors]) -> None:
        """Pack the values that the weights have now into the same memory, whose addresses the streams hold."""
        for record, layer in zip(self.records, layers, strict=True):
            for name, new in self._record(layer).items():
                record[name].copy_(new)

    def _blocks_of_heads(self, widths: Mapping[str, int]) -> dict[str, int]:
        """For each product with heads, how many units enter a block (`depth_k`), and how many blocks share them (`shared_k`)."""
        found = {}
        for k, (_, _, entered, heads) in enumerate(self.kernel.described.products):
            if heads > 1:
                together, lanes = _heads_together(heads, widths["d"], self.kernel.shape.lanes), self.kernel.shape.lanes
                found[f"depth_{k}"] = widths[entered] // heads * together
                found[f"shared_{k}"] = max(1, -(-widths["H"] // lanes) * together // heads)
        return found

    @torch.no_grad()
    def _record(self, layer: LayerTensors) -> dict[str, Tensor]:
        described, lanes = self.kernel.described, self.kernel.shape.lanes
        found: dict[str, Tensor] = {}
        for n, (space, segments) in enumerate(zip(described.spaces, described.passes, strict=True)):
            if segments:
                parts = [self._segment(layer, space, *s) for s in segments]
                held = pool.take(len(parts[0]), sum(p.shape[1] for p in parts), dtype=parts[0].dtype)
                found[f"weights_{n}"] = torch.cat(parts, 1, out=held)
        own = {p.name: p.shape for p in self.kernel.cell.parameters}
        for name, vector in layer.vectors.items():
            width = layer.widths["H" if (letter := own.get(name, ("G",))[0]) in ("G", "G_ih") else letter]
            found[f"parameter_{name}"] = F.pad(vector.detach().view(-1, width), (0, -width % lanes)).contiguous()
        for name, mean in layer.masks.items():
            found[f"mask_{name}"] = layer.weight_ih.new_full((whole(max(layer.widths.values()), lanes),), mean)
        return found

    def _segment(self, layer: LayerTensors, space: str, source: str, pieces: tuple[int, ...]) -> Tensor:
        """Pack the weights of a segment: `(blocks, numbers)`, each block as `[k][piece][lane]`."""
        units, lanes, heads = layer.widths[space], self.kernel.shape.lanes, 1
        if source == "x":
            matrix, blocks = layer.weight_ih, pieces
        else:
            name, gates, _, heads = self.kernel.described.products[int(source)]
            matrix = layer.weight_ih if name == "weight_ih" else layer.matrices[name]
            blocks = tuple(gates[piece] for piece in pieces) if gates else (0,)
        rows = torch.stack([matrix.detach()[n * units : (n + 1) * units] for n in blocks])
        if heads > 1:
            rows = _beside_others(rows, heads, _heads_together(heads, units // heads, lanes))
        rows = F.pad(rows, (0, 0, 0, -units % lanes))  # (pieces, blocks * lanes, K)
        packed = rows.view(len(blocks), -1, lanes, rows.shape[2]).permute(1, 3, 0, 2)  # (blocks, K, pieces, lanes)
        return held_as(self.kernel.held, heads).packed(packed)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of inputs, states and sums."""
        return torch.float64 if self.kernel.shape.double else torch.float32

    @property
    def blocks(self) -> int:
        """The number of blocks of units in the narrowest layer, which threads can divide."""
        return min(-(-widths["H"] // self.kernel.shape.lanes) for widths in self.widths)

    @property
    def weight_bytes(self) -> int:
        """The bytes of the weights that a step reads."""
        return sum(v.nbytes for record in self.records for n, v in record.items() if n.startswith("weights_"))


def _heads_together(heads: int, units: int, lanes: int) -> int:
    """How many heads of `units` units each share blocks: the fewest that fill whole blocks, or all."""
    return next((n for n in range(1, heads) if not heads % n and not n * units % lanes), heads)


def _beside_others(rows: Tensor, heads: int, together: int) -> Tensor:
    """Widen the rows of heads that share blocks, `(pieces, H, K)`: each head's numbers go to its own columns, zeros elsewhere."""
    parts = rows.unflatten(1, (heads // together, together, -1))  # (pieces, groups, heads, units, K)
    where = torch.eye(together, dtype=rows.dtype, device=rows.device)
    return torch.einsum("pghuk,hj->pghujk", parts, where).flatten(4).flatten(1, 3)


def whole(width: int, lanes: int) -> int:
    """`width` rounded up to whole vectors."""
    return -(-width // lanes) * lanes
