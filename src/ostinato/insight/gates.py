"""Gates that are always open or shut, and units that never change.

At a gate near 0 or 1, or a candidate near -1 or 1, the sigmoid or tanh is flat, and little gradient passes. The values to look at
come from the step itself: the results of its sigmoids, tanhs and ReLUs, each named by the gate whose sum entered it.

Source: Karpathy, Johnson & Fei-Fei 2015, arXiv 1506.02078, 4.2, who call a gate left saturated below 0.1 and right saturated above
0.9, which is the margin here; for ReLUs Maas, Hannun & Ng 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic Models".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ostinato.cells.named import Gates
from ostinato.insight.layers import InsightError, Loss, trajectories
from ostinato.insight.shown import ShownInNotebooks
from ostinato.insight.tables import make_table, text_of
from ostinato.insight.trajectory import Trajectory, TrajectoryPart
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

_KINDS: dict[Any, str] = {
    **dict.fromkeys((torch.sigmoid, Tensor.sigmoid, F.sigmoid, F.hardsigmoid), "sigmoid"),
    **dict.fromkeys((torch.tanh, Tensor.tanh, F.tanh, F.hardtanh), "tanh"),
    **dict.fromkeys((torch.relu, Tensor.relu, F.relu), "relu"),
}
NO_GATE = "out"


@dataclass(frozen=True)
class GateShare:
    """The values of one nonlinearity of one direction of one layer.

    Attributes:
        name: the name of the layer; see `Trajectory`.
        gate: the cell's name for the gate ("i", "f", "g", "o"); several with spaces between if they enter together; "out" for a
            nonlinearity that no gate enters, such as tanh(c).
        kind: "sigmoid", "tanh" or "relu".
        low: the share of values near the lower end, 0 or -1; for a ReLU, the share of values that are off.
        high: the share of values near the upper end, 1; 0 for a ReLU.
        mean: the mean of the values.
    """

    name: str
    gate: str
    kind: str
    low: float
    high: float
    mean: float


@dataclass(frozen=True)
class UnitShare:
    """The units of one direction of one layer that do nothing.

    Attributes:
        name: the name of the layer; see `Trajectory`.
        units: the number of units, `H`, or `P`.
        dead: the numbers of the units whose ReLU was never on.
        stuck: the numbers of the units whose output did not change over steps and rows.
    """

    name: str
    units: int
    dead: list[int]
    stuck: list[int]


@dataclass(frozen=True)
class Saturation(ShownInNotebooks):
    """The saturation of a model's gates, and its idle units; print it.

    Attributes:
        gates: one entry for each nonlinearity, in the order in which the layers ran and the step computes them.
        units: one entry for each direction of each layer.
        margin: the distance from an end below which a value counts as near.
    """

    gates: list[GateShare]
    units: list[UnitShare]
    margin: float

    def __str__(self) -> str:
        return text_of(*self.tables())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, as JSON has them."""
        return asdict(self)

    def scalars(self) -> dict[str, float]:
        """The numbers to plot over training, by name."""
        found = {}
        for gate in self.gates:
            found[f"{gate.name}/{gate.gate} low share"] = gate.low
            if gate.kind != "relu":
                found[f"{gate.name}/{gate.gate} high share"] = gate.high
        for unit in self.units:
            found[f"{unit.name}/stuck share"] = len(unit.stuck) / unit.units
            found[f"{unit.name}/dead share"] = len(unit.dead) / unit.units
        return found

    def tables(self) -> tuple[Table, Table]:
        """A row for each gate, and one for each layer."""
        gates = [(g.name, g.gate, g.kind, 100 * g.low, 100 * g.high, g.mean) for g in self.gates]
        columns = ["layer", "gate", "kind", "near the lower end (%)", "near 1 (%)", "mean"]
        units = [(u.name, u.units, len(u.dead), len(u.stuck)) for u in self.units]
        return (
            make_table(f"gates, and how often they are within {self.margin:g} of their ends", columns, gates, words=3),
            make_table("units", ["layer", "units", "dead (ReLU never on)", "stuck (never move)"], units),
        )

    def plot(self) -> Figure:
        """The shares near both ends, gate by gate: those near the lower end to the left, those near 1 to the right."""
        from ostinato.insight.plots import COLOURS, GREY, figure, name_axes

        made, (axes,) = figure(7.0, 1.2 + 0.32 * len(self.gates))
        places = range(len(self.gates))
        axes.barh(places, [-100 * g.low for g in self.gates], color=COLOURS[0])
        axes.barh(places, [100 * g.high for g in self.gates], color=COLOURS[1])
        axes.axvline(0.0, color=GREY, linewidth=0.8)
        axes.set_yticks(list(places), [f"{g.name} {g.gate}" for g in self.gates])
        axes.invert_yaxis()
        axes.set_xlim(-100, 100)
        axes.set_xticks([-100, -50, 0, 50, 100], ["100", "50", "0", "50", "100"])
        name_axes(axes, "share of values near the lower end (left) and near 1 (right), %", "layer and gate")
        return made


def saturation(
    model: nn.Module, batch: Any, loss: Loss | None = None, *, margin: float = 0.1, stuck_below: float = 1e-3
) -> Saturation:
    """Measure the share of each gate's values near its ends, and the units that never change, in one pass over a batch.

    Padding does not count. The model runs in its present mode, and is left as it was.

    Args:
        model: as in `gradient_flow`.
        batch: as in `trajectories`.
        loss: as in `trajectories`.
        margin: a value nearer to an end than this is saturated, in (0, 0.5). With 0.1: a sigmoid below 0.1 or above 0.9, a tanh
            below -0.9 or above 0.9.
        stuck_below: a unit is stuck if its greatest and least output over all steps and rows differ by less than this, above 0.

    Raises:
        InsightError: an argument is out of range, there is no recurrent layer, or none ran.
    """
    if not 0.0 < margin < 0.5:
        raise InsightError(f"margin expected a number between 0 and 0.5, got {margin!r}")
    if not 0.0 < stuck_below < math.inf:
        raise InsightError(f"stuck_below expected a number above 0, got {stuck_below!r}")
    return saturation_of(trajectories(model, batch, loss), margin, stuck_below)


def saturation_of(runs: Sequence[Trajectory], margin: float = 0.1, stuck_below: float = 1e-3) -> Saturation:
    """Measure as `saturation` does, from a pass that was already made."""
    gates: list[GateShare] = []
    units: list[UnitShare] = []
    for run in runs:
        values = nonlinearities(run)
        gates += [_share(run.name, gate, kind, v, margin) for (gate, kind), v in values.items()]
        output = run.states(run.cell.output)[run.valid]  # (K, P)
        dead = [(v <= 0).all(0) for (_, kind), v in values.items() if kind == "relu" and len(v)]
        stuck = (
            output.amax(0) - output.amin(0) < stuck_below
            if len(output)
            else torch.zeros(0, dtype=torch.bool, device=output.device)
        )
        units.append(
            UnitShare(
                run.name,
                output.shape[1],
                torch.stack(dead).all(0).nonzero().flatten().tolist() if dead else [],
                stuck.nonzero().flatten().tolist(),
            )
        )
    return Saturation(gates, units, margin)


def nonlinearities(run: Trajectory) -> dict[tuple[str, str], Tensor]:
    """The results of a step's sigmoids, tanhs and ReLUs at all valid places.

    Args:
        run: a trajectory from `trajectories`.

    Returns:
        `(K, H)` by gate and kind, see `GateShare`; the K valid places are in the order of time.
    """
    taken = run.take(*run.places())
    parts = [_values_of(part) for part in taken.parts]
    return {key: torch.cat([part[key] for part in parts])[taken.order] for key in (parts[0] if parts else {})}


def _values_of(part: TrajectoryPart) -> dict[tuple[str, str], Tensor]:
    follower = _Follower()
    if isinstance(part.inputs, Gates):
        follower.mark(part.inputs)
    else:  # the step makes its gates itself
        product = part.named["W"]
        named = {**part.named, "W": replace(product, then=(follower.mark, *product.then))}
        part = replace(part, named=named)
    if part.product is not None:
        part = replace(part, product=replace(part.product, then=(follower.mark, *part.product.then)))
    with torch.no_grad(), follower:
        part.run(part.before)
    rows = len(next(iter(part.before)))
    # A value made from parameters only, such as a rate, is the same for all rows.
    return {
        key: v if v.dim() > 1 and len(v) == rows else v.expand(rows, *v.shape[-1:]) for key, v in follower.found.items()
    }


class _Follower(TorchFunctionMode):
    """Records for every tensor which gates have entered it since the last nonlinearity."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[str, str], Tensor] = {}
        # Keep the tensor itself too, as another may get its id after it is freed.
        self._gates: dict[int, tuple[Tensor, tuple[str, ...]]] = {}

    def mark(self, gates: Gates) -> Gates:
        """Record the gate's name of each of these tensors."""
        for name in gates.names:
            tensor = getattr(gates, name)
            self._gates[id(tensor)] = (tensor, (name,))
        return gates

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [v for v in (*args, *(kwargs or {}).values()) if isinstance(v, Tensor)]
        names = tuple(dict.fromkeys(n for v in given if id(v) in self._gates for n in self._gates[id(v)][1]))
        if func in _KINDS:
            # The last one counts: with peepholes the step is evaluated twice, first without the peephole of o.
            self.found[" ".join(names) or NO_GATE, _KINDS[func]] = result
        elif names and isinstance(result, Tensor):
            self._gates[id(result)] = (result, names)
        return result


def _share(name: str, gate: str, kind: str, values: Tensor, margin: float) -> GateShare:
    if kind == "relu":
        low, high = values <= 0, torch.zeros_like(values, dtype=torch.bool)
    else:
        low, high = values < (margin if kind == "sigmoid" else margin - 1.0), values > 1.0 - margin
    return GateShare(
        name, gate, kind, float(low.double().mean()), float(high.double().mean()), float(values.double().mean())
    )
