"""What training a language model gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ostinato.recipes.lm.figures import Figures
from ostinato.training.loop.counters import Outcome
from ostinato.training.run.run_folder import RunFolder


@dataclass(frozen=True)
class LanguageModelResult:
    """What training gave.

    Args:
        run: the folder.
        outcome: how it ended; after "interrupted" and "pruned" the rest is empty.
        network: of the best weights, on the validation text.
        baselines: of simpler models, by name, on the same text.
        test: of the best weights, on the test text; None where there is none.
        test_baselines: of simpler models, by name, on the test text.
        sample: text that the model wrote.
    """

    run: RunFolder
    outcome: Outcome
    network: Figures | None = None
    baselines: Mapping[str, Figures] = field(default_factory=dict)
    test: Figures | None = None
    test_baselines: Mapping[str, Figures] = field(default_factory=dict)
    sample: str = ""
