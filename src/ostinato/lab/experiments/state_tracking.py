"""Parity at lengths longer than in training: linear recurrences with factors from 0 to 1 cannot keep track of it.

After each bit a network says whether the number of ones so far is odd. That takes two states, which a one exchanges and
a zero keeps. A linear recurrence multiplies its state by a factor that may depend on the input. To exchange two states
the factor must be -1; with factors from 0 to 1 no number of layers gives parity at every length, in finite precision
(Sarrof et al. 2024, arXiv 2405.17394; Grazzi et al. 2024). The proof of Merrill et al. 2024 is about harder states,
such as permutations of five things: linear recurrences with diagonal matrices cannot track them, whatever the sign of
the factors. That a cell can represent parity does not mean that training finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import nn, sigmoid
from torch.nn import functional as F

from ostinato import catalogue
from ostinato.cells.named import Gates, State
from ostinato.cells.spec import Cell, cell
from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.threads import one_thread
from ostinato.training.update.clipping import clip
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@cell(gates="z h", states="h", recurrent=False, source="Grazzi et al. 2024, arXiv 2411.12537")
def signed_min_gru(x: Gates, s: State, U: None) -> State:
    """h' = (1 - z) h + z (W_h x + b_h), z = 2 sigmoid(W_z x + b_z): minGRU, with 1 - z from -1 to 1."""
    z = 2 * sigmoid(x.z)
    return State(h=(1 - z) * s.h + z * x.h)


@dataclass(frozen=True)
class Contestant:
    """A cell to be tested.

    Attributes:
        cell: its name in the catalogue, or the cell itself.
        recurrence: "nonlinear"; "unmixed", nonlinear too, but no unit sees another; "linear", with factors from 0 to 1,
            or complex factors that do not depend on the input; "signed", with factors from -1 to 1.
    """

    cell: str | Cell
    recurrence: str

    @property
    def layers(self) -> int:
        """One where each unit sees the others; otherwise two: the second layer sees all units of the first."""
        return 1 if self.recurrence == "nonlinear" else 2


CELLS = {
    "RNN": Contestant("rnn", "nonlinear"),
    "LSTM": Contestant("lstm", "nonlinear"),
    "sLSTM": Contestant("slstm", "nonlinear"),
    "IndRNN": Contestant("indrnn", "unmixed"),
    "minGRU": Contestant("mingru", "linear"),
    "minLSTM": Contestant("minlstm", "linear"),
    "LRU": Contestant("lru", "linear"),
    "signed minGRU": Contestant(signed_min_gru, "signed"),
}
LONGEST_SEEN = 20
LENGTHS = (2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 60, 80, 120, 160, 200)
NEVER_SEEN = 40  # lengths from here on count as new: twice the longest of training
# A state counts as tracked from the first share of right answers, and as lost up to the second; guessing gives half.
TRACKED, LOST = 0.9, 0.7
_HIDDEN, _ROWS, _JUDGED_ROWS = 32, 32, 512
_NETWORKS = 3  # of each cell: the result of one depends much on its first weights
_RATE = 1e-2


class ParityNetwork(nn.Module):
    """Reads bits with a recurrence; its readout has a hidden layer, so that a failure is not the readout's."""

    def __init__(self, of: Contestant) -> None:
        super().__init__()
        self.layer = catalogue.make(of.cell, 2, _HIDDEN, of.layers)
        self.head = nn.Sequential(nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1))

    def forward(self, bits: Tensor) -> Tensor:
        """The logit that the number of ones is odd, after each bit: (T, B) -> (T, B)."""
        return self.head(self.layer(F.one_hot(bits, 2).float())[0])[..., 0]


def parity(bits: Tensor) -> Tensor:
    """1 where the number of ones so far is odd, otherwise 0: (T, B) integers -> (T, B)."""
    return (bits.cumsum(0) % 2).float()


def train(of: Contestant, updates: int) -> ParityNetwork:
    """Trains a network to give the parity after each bit; in the first half sequences grow from 2 to 20 bits."""
    model = ParityNetwork(of)
    optimizer = torch.optim.Adam(model.parameters(), _RATE)
    for update in range(updates):
        done = update / updates
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - done)
        bits = torch.randint(2, (min(LONGEST_SEEN, 2 + int(2 * done * (LONGEST_SEEN - 1))), _ROWS))
        loss = F.binary_cross_entropy_with_logits(model(bits), parity(bits))
        optimizer.zero_grad()
        loss.backward()
        clip(model.parameters(), norm=1.0)
        optimizer.step()
    return model


@one_thread()
def measure(seed: int, quick: bool) -> Table:
    """For several networks of each cell, by length: the share of sequences whose parity is right."""
    bits = torch.randint(2, (max(LENGTHS), _JUDGED_ROWS))
    rows = []
    for name, of in CELLS.items():
        for network in range(1 if quick else _NETWORKS):
            model = train(of, 2 if quick else 800)
            with torch.no_grad():
                right = ((model(bits) > 0) == parity(bits).bool()).float().mean(1)
            rows += [(name, of.recurrence, network, length, float(right[length - 1])) for length in LENGTHS]
    return table("cell recurrence network length_steps right_share", rows)


def middle(measured: Table, name: str, length: int) -> float:
    """The share of right answers at a length: that of the median network of a cell."""
    return median(measured.where(cell=name, length_steps=length).column("right_share"))


def longest_tracked(measured: Table, name: str) -> int:
    """The greatest length up to which the median network is right at every length; 0 where it never is."""
    found = 0
    for length in measured.kinds("length_steps"):
        if middle(measured, name, length) < TRACKED:
            break
        found = length
    return found


def judge(measured: Table) -> Verdict:
    """At new lengths nonlinear cells are right and linear ones are not; signed factors are right at the first one."""
    lengths = measured.kinds("length_steps")
    unseen = [length for length in lengths if length >= NEVER_SEEN]
    cells = {name: measured.where(cell=name).column("recurrence")[0] for name in measured.kinds("cell")}
    of = {kind: [name for name, each in cells.items() if each == kind] for kind in ("nonlinear", "linear", "signed")}
    best = {
        name: max(max(measured.where(cell=name, length_steps=length).column("right_share")) for length in unseen)
        for name in of["linear"]
    }
    tracked = ", ".join(f"{name} {longest_tracked(measured, name) or 'none'}" for name in cells)
    at_end = ", ".join(f"{middle(measured, name, max(lengths)):.2f} for the {name}" for name in cells)
    return Verdict(
        f"Trained on up to {LONGEST_SEEN} bits, the median network says the parity of at least {TRACKED:.0%} of sequences right "
        f"up to so many bits, {max(lengths)} at most: {tracked}.",
        f"At {max(lengths)} bits the share of right answers is {at_end}; from {min(unseen)} bits on the best single network of "
        f"{', '.join(of['linear'])} is right in {max(best.values()):.2f}, where guessing gives 0.50.",
        all(middle(measured, name, length) >= TRACKED for name in of["nonlinear"] for length in unseen)
        and all(share <= LOST for share in best.values())
        and all(middle(measured, name, min(unseen)) >= TRACKED for name in of["signed"]),
    )


def draw(measured: Table) -> Figure:
    """Right answers by length. Left: nonlinear cells. Right: linear ones. Lines are median networks, dots networks."""
    figure, axes = pictures.panels(2, width=5.2)
    lengths, shown = measured.kinds("length_steps"), [2, 5, 10, 20, 40, 80, 200]
    kinds = (("nonlinear", "unmixed"), ("linear", "signed"))
    for axis, kind, title in zip(axes, kinds, ("Parity, nonlinear cells", "Parity, linear cells"), strict=True):
        cells = [name for each in kind for name in measured.where(recurrence=each).kinds("cell")]
        axis.set_xscale("log")
        axis.set_xticks(shown, [str(length) for length in shown])
        axis.minorticks_off()
        axis.set_ylim(0.35, 1.04)
        axis.axvspan(min(lengths), LONGEST_SEEN, color="#eeeeee", zorder=0)
        pictures.note(axis, 0.06, 0.03, "lengths of training")
        pictures.threshold(axis, 0.5)
        pictures.note(axis, 0.5, 0.13, "dashed: guessing")
        for place, name in enumerate(cells):
            part = measured.where(cell=name)
            axis.plot(
                part.column("length_steps"),
                part.column("right_share"),
                ".",
                color=plots.COLOURS[place],
                alpha=0.4,
                label="_networks",
            )
        plots.name_axes(axis, "length (bits)", "share of right answers", title)
        pictures.lines(axis, {name: (lengths, [middle(measured, name, n) for n in lengths]) for name in cells})
    return figure


EXPERIMENT = Experiment(
    name="state_tracking",
    claim="RNN, LSTM and sLSTM track a parity at lengths never seen; minGRU, minLSTM and LRU, which are linear, do not.",
    source="Merrill et al. 2024, arXiv 2404.08819; Grazzi et al. 2024, arXiv 2411.12537; Beck et al. 2024, arXiv 2405.04517",
    measure=measure,
    judge=judge,
    draw=draw,
)
