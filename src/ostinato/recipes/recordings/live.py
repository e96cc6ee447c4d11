"""A trained model on a recording that is still coming: raw values in, an answer after every step out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ostinato.data.recordings.online import OnlineScaling, step_of
from ostinato.errors import ConfigError
from ostinato.recipes.classify.running import CONFIDENCE, Sureness, scale_after
from ostinato.recipes.classify.saying import said_of


class Live:
    """Gives the model's answer to the steps so far, after each step of a recording.

    Values come as they are measured; the model's inputs (scaled values, changes, masks of missing values, elapsed time,
    several steps at once) are computed here as for a whole recording.

    Args:
        trained: a `Trained` of `ostinato train classify` or `tag` on recordings, with one direction.
        confidence: for classes, the probability from which on a class is sure.

    Attributes:
        steps: how many steps have been read.

    Raises:
        ConfigError: the model reads other data, or reads in both directions.
    """

    def __init__(self, trained: Any, *, confidence: float = CONFIDENCE):
        self.known = trained.known
        scaling = getattr(self.known, "scaling", None)
        if hasattr(self.known, "stride"):
            raise ConfigError("expected a model that classifies or tags; of one that transcribes use LiveTranscript")
        if scaling is None:
            raise ConfigError("expected a model of recordings, got another; of texts use trained.model.stream()")
        self.model, self.stream = trained.model, trained.model.stream()
        self._online, self._sureness = OnlineScaling(scaling), Sureness(confidence)
        self.reset()

    def reset(self) -> None:
        """Begins a new recording."""
        self.steps, self._state, self._sure = 0, self._online.fresh(1), self._sureness.fresh(1)
        self.stream.reset()

    def __call__(self, values: Sequence[float | None], time: float | None = None) -> dict[str, Any]:
        """Reads one step.

        Args:
            values: C numbers, None or NaN for a missing one.
            time: the time of the step, if training had times; larger than the one before.

        Returns:
            The answer of `ostinato predict`: class and probabilities, with "sure_after", the number of steps after
            which the class was sure and has stayed so, None while it is not sure; or labels, or a number. A tagger
            gives the step's tag and its probability, or number.

        Raises:
            DataError: there are more or fewer values, or one is infinite. The step was not read then.
        """
        numbers = step_of(values, self._online.scaling.channels)
        block, is_whole = self._online.go_on(self._state, 0, numbers, time)
        stream = self.stream if is_whole else self.stream.copy()
        said = stream(torch.from_numpy(block))
        self.steps += 1
        return told_live(self, said[None], stream, self.steps)


def told_live(live: Live, said: torch.Tensor, stream: Any, steps: int) -> dict[str, Any]:
    """The answer about one step."""
    known, model = live.known, live.model
    if hasattr(known, "tags"):
        if known.number is not None:
            return {"number": known.number.told(said)["numbers"][0]}
        tag = int(stream.best())
        return {"tag": known.tags[tag], "probability": float(said.softmax(-1)[0, tag])}
    (answer,) = said_of(known, model, said)
    if known.target == "class":
        p = running_probabilities(model, known, said, [steps])[0].tolist()
        answer["sure_after"] = live._sureness.go_on(live._sure, 0, p, steps)
    return answer


def running_probabilities(model: Any, known: Any, said: torch.Tensor, steps: Sequence[int]) -> torch.Tensor:
    """Probabilities (n, C) of the steps so far, from a stream's outputs after so many raw steps; see `running`."""
    whole, stack = float(model.scales[0]), known.scaling.stack
    factors = [scale_after(known.running, -(-count // stack), whole) / whole for count in steps]
    return (said.float() * torch.tensor(factors)[:, None]).softmax(-1)
