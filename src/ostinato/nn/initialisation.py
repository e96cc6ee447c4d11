"""The initial values of a recurrent layer's parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn import init

from ostinato.cells.spec import Cell
from ostinato.cells.start import Start, start
from ostinato.errors import CellError
from ostinato.types import Tensor

_NAMES = ("torch", "xavier", "he", "orthogonal", "chrono")
NAMES = (*_NAMES[:-1], "chrono(T_max)")


@dataclass(frozen=True)
class Initialisation:
    """A way to initialise parameters; made by `initialisation`.

    Attributes:
        name: "torch", "xavier", "he", "orthogonal" or "chrono".
        longest: for chrono, the longest dependency expected, in steps.
    """

    name: str
    longest: int | None = None

    def __post_init__(self) -> None:
        if self.name not in _NAMES or (self.name == "chrono") != (self.longest is not None):
            raise ValueError(
                f"init expected one of {', '.join(NAMES)}, got {self}; chrono alone has a longest dependency"
            )

    @torch.no_grad()
    def fill(self, cell: Cell, parameters: Mapping[str, Tensor], hidden_size: int) -> None:
        """Fill the parameters of one direction of one layer, given by their names without suffix, in place.

        The block of each gate, or of each head of a gate, is filled as a matrix of its own, so that the number of gates does not
        change its scale. The cell's own `forget_bias` is set last, but not with chrono, which sets better biases.
        """
        own = {p.name: p for p in cell.parameters}
        for name, parameter in parameters.items():
            if name in own and (fill := own[name].fill) is not None:
                start(name, fill)(parameter, cell.heads)
            elif name in cell.starts and self.name in ("torch", "chrono"):
                cell.starts[name](parameter, cell.heads)
            elif self.name in ("torch", "chrono") or (name in own and parameter.dim() == 1):
                units = hidden_size // cell.heads if name == "weight_hh" else hidden_size
                bound = 1.0 / math.sqrt(units) if units > 0 else 0.0
                init.uniform_(parameter, -bound, bound)
            elif parameter.dim() == 1:
                init.zeros_(parameter)
            else:
                heads = cell.heads if name == "weight_hh" else 1
                is_gated = name in ("weight_ih", "weight_hh")
                blocks = torch.split(parameter, hidden_size // heads) if is_gated else (parameter,)
                for block in blocks:
                    self._fill_block(block, recurrent=name != "weight_ih")
        if self.longest is not None:
            self._fill_chrono(cell, parameters, hidden_size, self.longest)
        elif cell.forget_bias is not None and "bias_ih" in parameters:
            set_forget_bias(cell, parameters, hidden_size, cell.forget_bias)

    def _fill_block(self, block: Tensor, recurrent: bool) -> None:
        if self.name == "xavier" or (self.name == "orthogonal" and not recurrent):
            init.xavier_uniform_(block)
        elif self.name == "he":
            init.kaiming_uniform_(block, nonlinearity="relu")
        elif block.dtype in (torch.float32, torch.float64):
            init.orthogonal_(block)
        else:  # torch has no QR in half precision
            block.copy_(init.orthogonal_(torch.empty_like(block, dtype=torch.float32)))

    @staticmethod
    def _fill_chrono(cell: Cell, parameters: Mapping[str, Tensor], hidden_size: int, longest: int) -> None:
        if "bias_ih" not in parameters:
            raise ValueError("chrono initialisation sets biases, but bias=False; use bias=True or another init")
        if cell.keep is None and cell.write is None:
            raise CellError(
                f"chrono initialisation needs a cell with a gate that keeps or writes; {cell.name!r} has none. "
                "Use another init, or another cell"
            )
        bias = parameters["bias_ih"]
        for name in ("bias_ih", "bias_hh"):
            if name in parameters:
                init.zeros_(parameters[name])
        times = torch.empty(hidden_size, dtype=torch.float32, device=bias.device).uniform_(1, max(longest - 1, 1)).log()
        for gates, sign in (((cell.keep or "").split(), 1), ((cell.write or "").split(), -1)):
            for gate in gates:
                # Gates that act one after the other within a step share the step's forgetting among them.
                set_gate_bias(cell, parameters, gate, hidden_size, sign * (times + math.log(len(gates))))


def set_gate_bias(
    cell: Cell, parameters: Mapping[str, Tensor], gate: str, hidden_size: int, value: Tensor | float
) -> None:
    """Make the biases of one gate add up to `value`, a number or `(H,)`: `bias_ih` and `bias_hh`, or the only one it has."""
    rest = value
    for name, gates in (("bias_ih", cell.input_gates), ("bias_hh", cell.gates)):
        if name in parameters and gate in gates:
            at = gates.index(gate)
            parameters[name][at * hidden_size : (at + 1) * hidden_size] = rest
            rest = 0.0


@torch.no_grad()
def set_forget_bias(cell: Cell, parameters: Mapping[str, Tensor], hidden_size: int, value: float | Start) -> None:
    """Make the biases of the gate that keeps the memory add up to `value` (for a gate that writes, to `-value`).

    If several gates of a cell keep or write, one after the other, each of them gets this bias.

    Source: Gers et al. 2000; Jozefowicz, Zaremba & Sutskever 2015.
    """
    if "bias_ih" not in parameters:
        raise ValueError("forget_bias sets a bias, but bias=False; use bias=True or leave forget_bias out")
    gates, sign = (cell.keep, 1) if cell.keep else (cell.write, -1)
    if gates is None:
        raise CellError(
            f"forget_bias needs a cell with a gate that keeps or writes; {cell.name!r} has none. "
            "Leave forget_bias out, or use another cell"
        )
    for gate in gates.split():
        biases: Tensor | float
        if isinstance(value, Start):
            biases = parameters["bias_ih"].new_empty(hidden_size)
            value(biases, cell.heads)
        else:
            biases = value
        set_gate_bias(cell, parameters, gate, hidden_size, sign * biases)


def chrono(longest: int) -> Initialisation:
    """torch's weights, and biases that make memories last from 1 to `longest` steps.

    b_keep = log U(1, longest - 1), b_write = -b_keep; other biases 0.
    Source: Tallec & Ollivier 2018, arXiv 1804.11188, (16).
    """
    if not isinstance(longest, int) or isinstance(longest, bool) or longest < 2:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"chrono expected the longest dependency in steps, an integer of at least 2, got {longest!r}")
    return Initialisation("chrono", longest)


def initialisation(given: object) -> Initialisation:
    """The initialisation of a name: "torch" (uniform in +-1/sqrt(H), as torch.nn), "xavier", "he", "orthogonal", "chrono(T_max)".

    Sources: Glorot & Bengio 2010; He et al. 2015; Saxe et al. 2014 (orthogonal W_hh, Xavier W_ih); Tallec & Ollivier 2018.

    Raises:
        ValueError: for any other name.
    """
    if isinstance(given, Initialisation):
        return given
    if given in NAMES[:-1]:
        return Initialisation(given)
    if isinstance(given, str) and (found := re.fullmatch(r"chrono\((\d+)\)", given)):
        return chrono(int(found[1]))
    raise ValueError(f"init expected one of {', '.join(NAMES)} or an Initialisation, got {given!r}")
