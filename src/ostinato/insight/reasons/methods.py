"""The methods by name, and the meaning of their contributions.

| method | how | meaning of the contributions | sum |
| --- | --- | --- | --- |
| gradients | integrated gradients | the share of each input number, on the straight line from the baseline | answer - baseline |
| gates | mean Jacobians of steps | that share, passed from step to step through the gates as they ran | answer - baseline |
| occlusion | delete a step or channel | the change of the answer, with everything else as it is | no meaning |
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
    """The contribution of each step and channel to an answer.

    Args:
        question: the answer to explain.
        method: "gradients", "occlusion" or "gates".

    Raises:
        ConfigError: there is no such method.
        InsightError: the answer does not depend on the input, or the method does not work with the model.
    """
    check_method(method)
    return METHODS[method](question)


def check_method(method: str) -> None:
    """Raise `ConfigError` if there is no such method."""
    if method not in METHODS:
        raise ConfigError(f"--method {method}: expected one of {', '.join(METHODS)}{did_you_mean(method, METHODS)}")
