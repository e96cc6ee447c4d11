"""Why a recurrent network learns or does not: gradient flow, Jacobians, Lyapunov exponents, saturation, parameters, plots.

Every function takes any model with recurrent layers, ours or torch.nn's, measures one pass over a batch, and leaves the model as it
was. Names are loaded when they are first used, so that importing `ostinato.insight` loads neither torch nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.insight.attention_map import plot_attention
    from ostinato.insight.diagnosis.doctor import doctor
    from ostinato.insight.diagnosis.finding import Diagnosis, Finding
    from ostinato.insight.flow import Flow, GradientFlow, gradient_flow
    from ostinato.insight.gates import GateShare, Saturation, UnitShare, saturation
    from ostinato.insight.html.reading import reading_page
    from ostinato.insight.jacobians import JacobianSpectrum, jacobian_spectrum, recurrent_radii, step_jacobians
    from ostinato.insight.layers import InsightError, trajectories
    from ostinato.insight.lyapunov import lyapunov_exponents
    from ostinato.insight.parameter_table import ParameterTable, parameters
    from ostinato.insight.reasons.deletion import Deletion, deletion
    from ostinato.insight.reasons.methods import attribute
    from ostinato.insight.reasons.question import Question, Reasons
    from ostinato.insight.reasons.similar import AlikeRange, similar_ranges
    from ostinato.insight.text_labels import Label, labels
    from ostinato.insight.trajectory import Trajectory
    from ostinato.insight.unit_values import Activations, activations
    from ostinato.insight.units import MeaningfulUnit, meaningful_units
    from ostinato.insight.watch import Watch

# No module may have the name of a function in it: once imported, the module would replace the function here.
_HOMES = {
    "Activations": "unit_values",
    "AlikeRange": "reasons.similar",
    "Deletion": "reasons.deletion",
    "Diagnosis": "diagnosis.finding",
    "Finding": "diagnosis.finding",
    "Flow": "flow",
    "GateShare": "gates",
    "GradientFlow": "flow",
    "InsightError": "layers",
    "JacobianSpectrum": "jacobians",
    "Label": "text_labels",
    "MeaningfulUnit": "units",
    "ParameterTable": "parameter_table",
    "Question": "reasons.question",
    "Reasons": "reasons.question",
    "Saturation": "gates",
    "Trajectory": "trajectory",
    "UnitShare": "gates",
    "Watch": "watch",
    "activations": "unit_values",
    "attribute": "reasons.methods",
    "deletion": "reasons.deletion",
    "doctor": "diagnosis.doctor",
    "gradient_flow": "flow",
    "jacobian_spectrum": "jacobians",
    "labels": "text_labels",
    "lyapunov_exponents": "lyapunov",
    "meaningful_units": "units",
    "parameters": "parameter_table",
    "plot_attention": "attention_map",
    "reading_page": "html.reading",
    "recurrent_radii": "jacobians",
    "saturation": "gates",
    "similar_ranges": "reasons.similar",
    "step_jacobians": "jacobians",
    "trajectories": "layers",
}

__all__ = [
    "Activations",
    "AlikeRange",
    "Deletion",
    "Diagnosis",
    "Finding",
    "Flow",
    "GateShare",
    "GradientFlow",
    "InsightError",
    "JacobianSpectrum",
    "Label",
    "MeaningfulUnit",
    "ParameterTable",
    "Question",
    "Reasons",
    "Saturation",
    "Trajectory",
    "UnitShare",
    "Watch",
    "activations",
    "attribute",
    "deletion",
    "doctor",
    "gradient_flow",
    "jacobian_spectrum",
    "labels",
    "lyapunov_exponents",
    "meaningful_units",
    "parameters",
    "plot_attention",
    "reading_page",
    "recurrent_radii",
    "saturation",
    "similar_ranges",
    "step_jacobians",
    "trajectories",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
