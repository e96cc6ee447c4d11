"""Dynamic evaluation: a model that goes on learning from the text that it is scored on, after each part is scored."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from ostinato.data.batches.streams import Chunk
from ostinato.errors import ConfigError
from ostinato.models.parts.states import map_state
from ostinato.models.text.language_model import LanguageModel
from ostinato.models.writing.scores import Score, TextState, score_text

Rule: TypeAlias = Literal["sgd", "rms"]

LEARNING_RATES: dict[Rule, float] = {"sgd": 0.1, "rms": 5e-5}


class DynamicEvaluation(nn.Module):
    """A copy of a model that takes one step of gradient descent after every chunk that it is scored on.

    | rule | step |
    | --- | --- |
    | sgd | theta <- theta - eta g + lambda (theta_0 - theta) |
    | rms | theta <- theta - eta g / (r + epsilon) + min(lambda r / mean(r), 1) (theta_0 - theta) |

    g is the gradient of the chunk's mean loss, theta_0 the given weights, r = `gradient_rms` over the training text. No
    token is learnt from before it has been predicted, so the score is honest.

    It has the model's `loss(chunk, state)`, so that `ostinato.training.evaluate` can use it; the length of the chunks
    is the paper's segment (5 words, or 20 characters). The copy keeps what it has learned: call `reset` before another
    text.

    Source: Krause et al. 2018, arXiv 1709.07432, section 5; lambda, epsilon and eta of "rms" are the authors' for the Penn
    Treebank, mean(r) is their code's, a mean over parameters of the means over their elements.

    Args:
        model: a trained model; it is copied and not changed. Weights that require no gradient stay as they are.
        rule: "rms" or "sgd".
        learning_rate: eta, above 0; None for 5e-5 ("rms") or 0.1 ("sgd").
        decay: lambda, from 0 to 1: how fast the weights return to the given ones.
        epsilon: above 0; for "rms".
        statistics: the result of `gradient_rms`; for "rms", which needs it.

    Raises:
        ConfigError: an argument is out of its range, or missing.
    """

    def __init__(
        self,
        model: LanguageModel,
        rule: Rule = "rms",
        learning_rate: float | None = None,
        decay: float = 0.002,
        epsilon: float = 2e-5,
        statistics: Mapping[str, torch.Tensor] | None = None,
    ):
        super().__init__()
        if rule not in LEARNING_RATES:
            raise ConfigError(f"rule: expected one of {', '.join(LEARNING_RATES)}, got {rule}")
        self.learning_rate = LEARNING_RATES[rule] if learning_rate is None else learning_rate
        if not 0.0 < self.learning_rate < math.inf:
            raise ConfigError(f"learning_rate: expected a number above 0, got {learning_rate}")
        if not 0.0 <= decay <= 1.0:
            raise ConfigError(f"decay: expected a share from 0 to 1, got {decay}")
        if not epsilon > 0.0:
            raise ConfigError(f"epsilon: expected a number above 0, got {epsilon}")
        if (rule == "rms") != (statistics is not None):
            raise ConfigError(
                "statistics: rule rms needs what gradient_rms gives of the training text, and rule sgd takes none"
            )
        self.decay, self.epsilon = decay, epsilon
        self.model = copy.deepcopy(model).eval()
        self._start = {name: weight.detach().clone() for name, weight in _learning(self.model).items()}
        if not self._start:
            raise ConfigError(
                "model: expected weights that may learn, but none requires a gradient; say requires_grad_()"
            )
        self._rms = None if statistics is None else dict(statistics)
        self._decays = dict.fromkeys(self._start, decay) if statistics is None else self._scaled(statistics)

    def _scaled(self, rms: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        if missing := sorted(set(self._start) - set(rms)):
            raise ConfigError(f"statistics: expected one of every parameter, {missing[0]} is missing")
        mean = torch.stack([rms[name].mean() for name in self._start]).mean().clamp_min(torch.finfo(torch.float32).tiny)
        # A factor above 1 would go past the given weights.
        return {name: (self.decay * rms[name] / mean).clamp_max(1.0) for name in self._start}

    def loss(self, chunk: Chunk, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Returns the mean loss of a chunk in nats a token, a scalar without gradient, and the state; then learns from it."""
        loss, state, gradients = _gradients(self.model, chunk, state)
        with torch.no_grad():
            for name, weight in _learning(self.model).items():
                step = self._decays[name] * (self._start[name] - weight)
                if (gradient := gradients[name]) is not None:
                    scale = 1.0 if self._rms is None else self._rms[name] + self.epsilon
                    step = step - self.learning_rate * gradient / scale
                weight.add_(step)
        return loss, state

    @torch.no_grad()
    def reset(self) -> None:
        """Restores the given weights, so that what was learned is forgotten."""
        for name, weight in _learning(self.model).items():
            weight.copy_(self._start[name])

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> DynamicEvaluation:
        """Called by `to`, `double` and so on: applies `fn` to the given weights and their statistics too."""
        super()._apply(fn, recurse)
        for tensors in (self._start, self._decays, self._rms or {}):
            tensors |= {name: fn(each) for name, each in tensors.items() if isinstance(each, torch.Tensor)}
        return self

    def score(self, text: str, state: TextState | None = None, segment: int = 5) -> Score:
        """Scores `text` while the model learns from it, `segment` tokens at a time; see `LanguageModel.score`."""
        return score_text(self, self.model.vocabulary, text, state, self.model.embedding.weight.device, segment)


def gradient_rms(model: LanguageModel, chunks: Iterable[Chunk]) -> dict[str, torch.Tensor]:
    """The root mean square of every weight's gradient over `chunks`, in evaluation mode; the model is not changed.

    Args:
        model: a trained model.
        chunks: chunks of the training text, in order, on the model's device; as long as those to evaluate with.

    Returns:
        sqrt(mean over chunks of g^2) by the parameters' names, in their shapes; for those that require a gradient.

    Raises:
        ConfigError: there are no chunks.
    """
    sums = {name: torch.zeros_like(weight) for name, weight in _learning(model).items()}
    state, count = None, 0
    was_training = model.training
    model.eval()
    try:
        for chunk in chunks:
            _, state, gradients = _gradients(model, chunk, state)
            for name, gradient in gradients.items():
                if gradient is not None:
                    sums[name].addcmul_(gradient, gradient)
            count += 1
    finally:
        model.train(was_training)
    if not count:
        raise ConfigError("gradient_rms: expected at least one chunk of the training text, got none")
    return {name: (total / count).sqrt_() for name, total in sums.items()}


def _learning(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _gradients(
    model: LanguageModel, chunk: Chunk, state: Any
) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor | None]]:
    """The loss and the state after the chunk, without graphs; and the gradients of parameters, None if not used."""
    weights = _learning(model)
    # cuDNN goes backward in training mode only, in which dropout would act.
    on_cuda = chunk.input.is_cuda
    without_cudnn = torch.backends.cudnn.flags(enabled=False) if on_cuda else contextlib.nullcontext()
    with torch.enable_grad(), without_cudnn:
        loss, state = model.loss(chunk, state)
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return loss.detach(), map_state(torch.Tensor.detach, state), dict(zip(weights, gradients, strict=True))
