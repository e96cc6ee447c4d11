"""How good predicted numbers are, one for a recording, a text or a step, in the unit of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ostinato.data.batches.batches import Batch
from ostinato.models.classifying.regressor import deviation_of
from ostinato.recipes.task import Judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN = 2000


@dataclass(frozen=True)
class NumberScale:
    """The scale at which a network predicts: (number - mean) / deviation.

    Attributes:
        mean: the mean of the training numbers.
        deviation: the standard deviation of the training numbers; 1 if all are equal.
    """

    mean: float
    deviation: float

    @classmethod
    def of(cls, numbers: np.ndarray) -> NumberScale:
        """Computes the scale from the training numbers; NaN stands for no number."""
        there = numbers[np.isfinite(numbers)]
        return cls(float(there.mean()), float(there.std()) or 1.0)

    def scaled(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers at the network's scale, as float32."""
        return ((numbers - self.mean) / self.deviation).astype(np.float32)

    def told(self, said: torch.Tensor) -> dict[str, list[float]]:
        """The network's outputs (N, 1 or 2) in the unit of the data: numbers, and deviations from a second column."""
        said = said.double()
        found = {"numbers": (said[:, 0] * self.deviation + self.mean).tolist()}
        deviations = deviation_of(said)
        return found if deviations is None else {**found, "deviations": (deviations * self.deviation).tolist()}


def number_figures(said: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Mean absolute error, root mean square error, and R^2; NaN without numbers.

    R^2 = 1 - squared error / that of the mean of `target`.
    """
    if not len(target):
        return {"mae": float("nan"), "rmse": float("nan"), "r2": float("nan")}
    off, spread = said - target, float(((target - target.mean()) ** 2).sum())
    return {
        "mae": float(np.abs(off).mean()),
        "rmse": float(np.sqrt((off**2).mean())),
        "r2": 1.0 - float((off**2).sum()) / spread if spread else float("nan"),
    }


class NumberJudge(Judge):
    """Judges predicted numbers.

    Args:
        run: gives the model's outputs for a batch, (..., 1 or 2).
        loss: gives the mean loss from these outputs and the targets.
        scale: the scale of the numbers.
    """

    memory = ("_said", "_targets", "_each")

    def __init__(
        self,
        run: Callable[[Batch], torch.Tensor],
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        scale: NumberScale,
    ):
        self._run, self._loss, self._scale = run, loss, scale
        self._said: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []
        self._each: list[float] = []

    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model on a batch, and keeps the predicted and the true numbers."""
        said, target = self._run(batch), batch.target
        known = target.isfinite()
        if target.dim() == 2 and batch.lengths is not None:
            known &= torch.arange(len(target), device=target.device)[:, None] < batch.lengths.to(target.device)
        target = target.masked_fill(~known, torch.nan)
        self._said.append(said[..., 0][known].double().cpu().numpy())
        self._targets.append(target[known].double().cpu().numpy())
        return self._loss(said, target)

    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        said, target = np.concatenate(self._said), np.concatenate(self._targets)
        return (each * self._scale.deviation + self._scale.mean for each in (said, target))  # pyright: ignore[reportReturnType]

    def chosen_by(self, figure: str | None) -> str | None:
        """The loss (None): the task's figures are about classes, and there are none of these here."""
        return None

    def figures(self) -> dict[str, float]:
        """The figures of `number_figures`."""
        return number_figures(*self._all())

    def details(self) -> dict[str, Any]:
        """How many there are, and the range of their errors."""
        said, target = self._all()
        shares = (0.05, 0.25, 0.5, 0.75, 0.95)
        errors = (
            dict(zip(map(str, shares), np.quantile(said - target, shares).tolist(), strict=True)) if len(said) else {}
        )
        return {"numbers": len(said), "error_quantiles": errors}

    def pictures(self) -> dict[str, Figure]:
        """A picture of the predicted numbers over the true ones."""
        from ostinato.insight.plots import figure, name_axes

        said, target = self._all()
        if not len(said):
            return {}
        every = max(1, len(said) // _DRAWN)
        made, (axes,) = figure(5.2, 4.6)
        axes.plot([target.min(), target.max()], [target.min(), target.max()], color="0.6", linewidth=1)
        axes.plot(target[::every], said[::every], ".", markersize=4, alpha=0.6)
        name_axes(axes, "number", "predicted", f"Predicted numbers: {len(said):,}")
        return {"predicted": made}
