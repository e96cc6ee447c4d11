"""The methods by name, and which of them says what.

| method | the contributions | what they say |
| --- | --- | --- |
| gradients | integrated gradients | what the answer owes to each number read, on the straight way from nothing; sum to the answer |
| gates | mean steps | the same from step to step through the gates, in a recurrence as it ran; sum to the answer |
| occlusion | take it away | what changes without it, everything else as it is; sum to nothing |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ostinato.errors import ConfigError, did_you_mean
from ostinato.insight.reasons.gradients import integrated_gradients
from ostinato.insight.reasons.occlusion import occlusion
from ostinato.insight.reasons.question import Question, Reasons
from ostinato.insight.reasons.secants import step_contributions

METHODS: Mapping[str, Callable[[Question], Reasons]] = {
    "gradients": integrated_gradients,
    "occlusion": occlusion,
    "gates": step_contributions,
}
DEFAULT = "gradients"


def attribute(question: Question, method: str = DEFAULT) -> Reasons:
    """What each step and channel has to do with an answer.

    Args:
        question: what is asked.
        method: "gradients", "occlusion" or "gates".

    Raises:
        ConfigError: there is no such method.
        InsightError: the answer does not depend on what was read, or the method does not suit the model.
    """
    check_method(method)
    return METHODS[method](question)


def check_method(method: str) -> None:
    """Raises `ConfigError` where there is no such method."""
    if method not in METHODS:
        raise ConfigError(f"--method {method}: expected one of {', '.join(METHODS)}{did_you_mean(method, METHODS)}")
