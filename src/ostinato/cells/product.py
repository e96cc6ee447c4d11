"""The products `U` and `W` of a step, and the places where options wrap them."""

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


@dataclass(eq=False)  # not frozen: torch.compile cannot follow `replace` of a frozen one
class Product:
    """The recurrent product `U(v) = W_hh v + b_hh`, or the input's, split by gate, with what enters and leaves it.

    Attributes:
        gates: the gates that this product yields, in the order of the weight's rows.
        weight: `W_hh`, `(G H, P)`; with heads `(G H, P / N)`, of each gate the blocks on the diagonal below each other.
        bias: `b_hh`, `(G H,)`, or None.
        size: `H`, the rows of one gate.
        heads: `N`, the blocks on the diagonal.
        before: what is done to `v`, in order (a dropout mask, say).
        after: what is done to `W_hh v`, `(B, g H)`, before the bias (a normalisation, say). Each gets a `select` that takes
            the rows of this product's gates out of a `(G H,)` vector.
        then: what is done to the gates, in order.
        chosen: indices of the gates that are asked for; None for all.
        known: what has been computed, where that is to be remembered.
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
        """`v`: `(B, P)`. Returns one `(B, H)` tensor a gate."""
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
        """`W_hh v + bias` for the chosen gates, `(B, g H)`: the one place where a matrix is met, for a compiler to cut at."""
        weight = self._select(self.weight)
        if self.heads == 1:
            return F.linear(v, weight, bias)
        units = self.size // self.heads
        blocks = weight.view(-1, self.heads, units, weight.shape[1])
        rows = torch.einsum("bnk,gnjk->bgnj", v.view(len(v), self.heads, weight.shape[1]), blocks).flatten(1)
        return rows if bias is None else rows + bias

    def only(self, gates: str) -> Product:
        """The product for some of the gates only, for a step that multiplies more than once; `gates`: "r z"."""
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
        """The same product, computed once for each tensor that it is given: for a step that is evaluated twice."""
        return replace(self, known=[])
