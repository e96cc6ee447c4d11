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
    """Says of a recording, after each of its steps, what the model says of the steps so far.

    Values come as they are measured; what the model reads of them (scale, changes, what is missing, elapsed time, several steps at
    once) is made here, as of a whole recording.

    Args:
        trained: of `ostinato train classify` or `tag` on recordings, a model of one direction.
        confidence: of classes, from which probability on a class is sure.

    Attributes:
        steps: that were read.

    Raises:
        ConfigError: the model reads something else, or in both directions.
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
        """Begins with another recording."""
        self.steps, self._state, self._sure = 0, self._online.fresh(1), self._sureness.fresh(1)
        self.stream.reset()

    def __call__(self, values: Sequence[float | None], time: float | None = None) -> dict[str, Any]:
        """One step.

        Args:
            values: C numbers, None or NaN where one is missing.
            time: of the step, where training had times; larger than the one before.

        Returns:
            As `ostinato predict`: class and probabilities, with "sure_after", the steps after which the class was sure and has
            been since, None while it is not; or labels, or a number. Of a tagger the tag of the step, its probability, or number.

        Raises:
            DataError: there are more or fewer values, or one is infinite. The step was not taken then.
        """
        numbers = step_of(values, self._online.scaling.channels)
        block, is_whole = self._online.go_on(self._state, 0, numbers, time)
        stream = self.stream if is_whole else self.stream.copy()
        said = stream(torch.from_numpy(block))
        self.steps += 1
        return told_live(self, said[None], stream, self.steps)


def told_live(live: Live, said: torch.Tensor, stream: Any, steps: int) -> dict[str, Any]:
    """What is said of one step."""
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
    """(n, C): probabilities of the steps so far, see `running`, from what a stream says after so many raw steps of n rows."""
    whole, stack = float(model.scales[0]), known.scaling.stack
    factors = [scale_after(known.running, -(-count // stack), whole) / whole for count in steps]
    return (said.float() * torch.tensor(factors)[:, None]).softmax(-1)
