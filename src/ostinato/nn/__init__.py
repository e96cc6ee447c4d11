"""Recurrent layers that drop in for `torch.nn`'s, with what torch.nn has never had."""

from ostinato.nn import layers, steps
from ostinato.nn.attention import Attention, coverage_penalty
from ostinato.nn.conversion.convert import convert, negate_update_gate
from ostinato.nn.conversion.to_torch import to_torch
from ostinato.nn.crf.crf import CRF, Constraints, span_constraints
from ostinato.nn.crf.span_schemes import SpanScheme
from ostinato.nn.explain import Explanation, explain, listing
from ostinato.nn.first_state import FirstState, noisy
from ostinato.nn.initialisation import Initialisation, chrono
from ostinato.nn.layers import *  # noqa: F403 - whatever has a name
from ostinato.nn.options import LayerOptions, StepOptions
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.states import States
from ostinato.nn.step import Step
from ostinato.nn.steps import *  # noqa: F403
from ostinato.nn.streams import ErrorReport, RowStream, StateFile, Stream

__all__ = [
    "CRF",
    "Attention",
    "Constraints",
    "ErrorReport",
    "Explanation",
    "FirstState",
    "Initialisation",
    "LayerOptions",
    "Recurrent",
    "RowStream",
    "SpanScheme",
    "StateFile",
    "States",
    "Step",
    "StepOptions",
    "Stream",
    "chrono",
    "convert",
    "coverage_penalty",
    "explain",
    "listing",
    "negate_update_gate",
    "noisy",
    "span_constraints",
    "to_torch",
]
__all__ += layers.__all__
__all__ += steps.__all__
