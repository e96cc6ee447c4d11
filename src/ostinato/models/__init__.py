"""Models, one file a task: what they compute, not how they are trained."""

from ostinato.models.fixed_window import FixedWindow
from ostinato.models.language_model import LanguageModel, Score, TextState
from ostinato.models.markov import Markov, compare_orders

__all__ = ["FixedWindow", "LanguageModel", "Markov", "Score", "TextState", "compare_orders"]
