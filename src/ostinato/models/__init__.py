"""Models, one file a task: what they compute, not how they are trained."""

from ostinato.models.cache import ContinuousCache
from ostinato.models.dropout import LockedDropout, WordDropout
from ostinato.models.dynamic import DynamicEvaluation, gradient_rms
from ostinato.models.fixed_window import FixedWindow
from ostinato.models.language_model import LanguageModel
from ostinato.models.markov import Markov, compare_orders
from ostinato.models.penalties import activation_penalty
from ostinato.models.scores import Score, TextState, score_text

__all__ = [
    "ContinuousCache",
    "DynamicEvaluation",
    "FixedWindow",
    "LanguageModel",
    "LockedDropout",
    "Markov",
    "Score",
    "TextState",
    "WordDropout",
    "activation_penalty",
    "compare_orders",
    "gradient_rms",
    "score_text",
]
