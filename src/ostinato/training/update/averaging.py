"""Running averages of the weights: these are evaluated and kept, while training continues with the weights themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from typing_extensions import override  # typing's own from Python 3.12 on

from ostinato.training.distributed.sharding import own_share
from ostinato.training.run.settings import UpdateSettings


class Averaging:
    """A running average of a module's parameters; its buffers are used as they are.

    Args:
        module: the module with the parameters; shared parameters count once.
    """

    def __init__(self, module: nn.Module):
        self._parameters = dict(module.named_parameters())
        self.weights: dict[str, torch.Tensor] | None = None
        """The average by the parameter's name; None before there is one."""
        self.count = 0
        """How many weights it is of."""

    def update(self) -> None:
        """Include the present weights in the average; called after every step."""
        raise NotImplementedError

    def evaluated(self, loss: float) -> None:
        """Called after each evaluation with the value that is minimised, such as the loss in nats a token."""

    def _take_in(self, share: float) -> None:
        """average += share (weights - average)."""
        self.count += 1
        with torch.no_grad():
            weights = [parameter.detach() for parameter in self._parameters.values()]
            if self.weights is None:
                self.weights = dict(zip(self._parameters, (tensor.clone() for tensor in weights), strict=True))
            else:
                for average, tensor in zip(self.weights.values(), weights, strict=True):
                    own_share(average).lerp_(own_share(tensor), share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the module's weights are the average, if there is one; afterwards its own again, bit for bit."""
        if self.weights is None:
            yield
            return
        own = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._set(self.weights)
        try:
            yield
        finally:
            self._set(own)

    def _set(self, weights: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(weights[name])

    def state_dict(self) -> dict[str, Any]:
        """The average, and how many weights it was made from."""
        return {"weights": self.weights, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`.

        Raises:
            KeyError: it belongs to other parameters, or to another kind of average.
        """
        self.count = state["count"]
        weights = state["weights"]
        self.weights = weights and {
            name: weights[name].to(parameter.device) for name, parameter in self._parameters.items()
        }


class EMA(Averaging):
    """An exponentially weighted mean of the weights after each step.

        average_t = sum_i d^(t - i) w_i / sum_i d^(t - i),   i = 1 ... t

    The division removes the influence of the weights before the first step, as Adam's bias correction does (Kingma & Ba 2015,
    section 3).

    Args:
        module: see `Averaging`.
        decay: d, above 0 and below 1; the average is over about 1 / (1 - d) steps.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999):
        super().__init__(module)
        self.decay = decay

    @override
    def update(self) -> None:
        self._take_in((1.0 - self.decay) / (1.0 - self.decay ** (self.count + 1)))


class NonMonotonicASGD(Averaging):
    """The mean of the weights since validation stopped improving (Merity et al. 2017, arXiv 1708.02182, algorithm 1).

    Averaging begins, with the weights of that moment, at the first evaluation that is worse than the best of those more than n
    evaluations ago: v_t > min(v_0 ... v_(t-n-1)), t > n. It works with any optimiser; the paper's is plain gradient descent.

    Args:
        module: see `Averaging`.
        patience: n.
    """

    def __init__(self, module: nn.Module, patience: int = 5):
        super().__init__(module)
        self.patience = patience
        self.losses: list[float] = []
        """Of the evaluations before averaging began."""

    @override
    def update(self) -> None:
        if self.weights is not None:
            self._take_in(1.0 / (self.count + 1))

    @override
    def evaluated(self, loss: float) -> None:
        if self.weights is not None:
            return
        loss = math.inf if math.isnan(loss) else loss  # NaN would be neither better nor worse than any other loss
        before = self.losses[: -self.patience]
        self.losses.append(loss)
        if before and loss > min(before):
            self._take_in(1.0)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "losses": list(self.losses)}

    @override
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.losses = list(state["losses"])


def make_averaging(module: nn.Module, settings: UpdateSettings) -> Averaging | None:
    """Make the average that the settings name; None if they name none."""
    if settings.averaging == "ema":
        return EMA(module, settings.ema_decay)
    if settings.averaging == "nt-asgd":
        return NonMonotonicASGD(module, settings.averaging_patience)
    return None
