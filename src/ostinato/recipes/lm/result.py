"""The result of training a language model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ostinato.recipes.lm.figures import Figures
from ostinato.training.loop.counters import Outcome
from ostinato.training.run.run_folder import RunFolder


@dataclass(frozen=True)
class LanguageModelResult:
    """The result of training.

    Args:
        run: the run's folder.
        outcome: how training ended; after "interrupted" and "pruned" the rest is empty.
        network: the figures of the best weights on the validation text.
        baselines: the figures of simpler models on the same text, by name.
        test: the figures of the best weights on the test text; None if there is none.
        test_baselines: the figures of simpler models on the test text, by name.
        sample: text that the model wrote.
    """

    run: RunFolder
    outcome: Outcome
    network: Figures | None = None
    baselines: Mapping[str, Figures] = field(default_factory=dict)
    test: Figures | None = None
    test_baselines: Mapping[str, Figures] = field(default_factory=dict)
    sample: str = ""
