"""The matrix products `U` and `W` of a step, with the places where options act on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from ostinato.cells.named import Gates
from ostinato.errors import CellError
from ostinato.types import Tensor

Wrap = Callable[[Tensor], Tensor]
Select = Callable[[Tensor], Tensor]


@dataclass(eq=False)  # not frozen: torch.compile cannot trace `replace` of a frozen dataclass
class Product:
    """The recurrent product `U(v) = W_hh v + b_hh`, or the input's `W(v)`, split by gate, with functions applied before and after.

    Attributes:
        gates: the gates that this product yields, in the order of the weight's rows.
        weight: `W_hh`, `(G H, P)`; with heads `(G H, P / N)`: for each gate the blocks on the diagonal, one below the other.
        bias: `b_hh`, `(G H,)`, or None.
        size: `H`, the number of matrix rows of one gate.
        heads: `N`, the number of blocks on the diagonal.
        before: functions applied to `v`, in order (a dropout mask, say).
        after: functions applied to `W_hh v`, `(B, g H)`, before the bias is added (a normalisation, say). Each also gets `select`,
            which takes the elements of the chosen gates out of a `(G H,)` vector.
        then: functions applied to the gates, in order.
        chosen: indices of the gates to compute; None for all.
        known: results computed so far, if they are remembered; else None.
    """

    gates: tuple[str, ...]
    weight: Tensor
    bias: Tensor | None
    size: int
    heads: int = 1
    before: tuple[Wrap, ...] = ()
    after: tuple[Callable[[Tensor, Select], Tensor], ...] = ()
    then: tuple[Callable[[Gates], Gates], ...] = ()
    chosen: tuple[int, ...] | None = None
    known: list[tuple[Tensor, object, Tensor]] | None = None

    def __call__(self, v: Tensor) -> Gates:
        """Multiply `v`, `(B, P)`, and return one `(B, H)` tensor for each gate."""
        names = self.gates if self.chosen is None else tuple(self.gates[n] for n in self.chosen)
        gates = Gates(**dict(zip(names, self._rows(v).chunk(len(names), -1), strict=True)))
        for change in self.then:
            gates = change(gates)
        return gates

    def _rows(self, v: Tensor) -> Tensor:
        key = (self.chosen, self.before, self.after)
        for seen, its_key, rows in self.known or ():
            if seen is v and its_key == key:
                return rows
        entered = v
        for wrap in self.before:
            entered = wrap(entered)
        bias = None if self.bias is None else self._select(self.bias)
        if self.after:
            rows = self.multiply(entered, None)
            for change in self.after:
                rows = change(rows, self._select)
            rows = rows if bias is None else rows + bias
        else:
            rows = self.multiply(entered, bias)
        if self.known is not None:
            self.known.append((v, key, rows))
        return rows

    def multiply(self, v: Tensor, bias: Tensor | None) -> Tensor:
        """`W_hh v + bias` for the chosen gates, `(B, g H)`: the only place with a matrix product, where a compiler can cut."""
        weight = self._select(self.weight)
        if self.heads == 1:
            return F.linear(v, weight, bias)
        units = self.size // self.heads
        blocks = weight.view(-1, self.heads, units, weight.shape[1])
        rows = torch.einsum("bnk,gnjk->bgnj", v.view(len(v), self.heads, weight.shape[1]), blocks).flatten(1)
        return rows if bias is None else rows + bias

    def only(self, gates: str) -> Product:
        """The product for some of the gates only, such as "r z", for a step that multiplies more than once."""
        wanted = gates.split()
        unknown = [gate for gate in wanted if gate not in self.gates]
        if unknown or not wanted:
            raise CellError(f"U.only expected some of the gates {' '.join(self.gates)!r}, got {gates!r}")
        return replace(self, chosen=tuple(self.gates.index(gate) for gate in wanted))

    def _select(self, rows: Tensor) -> Tensor:
        if self.chosen is None:
            return rows
        first, last = self.chosen[0], self.chosen[-1]
        if self.chosen == tuple(range(first, last + 1)):
            return rows[first * self.size : (last + 1) * self.size]
        return torch.cat([rows[n * self.size : (n + 1) * self.size] for n in self.chosen])

    def remembering(self) -> Product:
        """A copy that remembers its result for each tensor that it is called with, for a step that is evaluated twice."""
        return replace(self, known=[])
