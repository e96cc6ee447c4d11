"""Why a recurrent network learns or does not: gradient flow, Jacobians, Lyapunov exponents, saturation, parameters, plots.

Every function takes any model that holds recurrent layers, ours or torch.nn's, looks at one pass over a batch, and leaves the model
as it was. Names are loaded when they are first used, so that importing `ostinato.insight` loads neither torch nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.insight.gradient_flow import Flow, GradientFlow, gradient_flow
    from ostinato.insight.jacobians import JacobianSpectrum, jacobian_spectrum, recurrent_radii, step_jacobians
    from ostinato.insight.layers import InsightError, trajectories
    from ostinato.insight.lyapunov import lyapunov_exponents
    from ostinato.insight.parameters import ParameterTable, parameters
    from ostinato.insight.saturation import GateShare, Saturation, UnitShare, saturation
    from ostinato.insight.trajectory import Trajectory
    from ostinato.insight.watch import Watch

_HOMES = {
    "Flow": "gradient_flow",
    "GateShare": "saturation",
    "GradientFlow": "gradient_flow",
    "InsightError": "layers",
    "JacobianSpectrum": "jacobians",
    "ParameterTable": "parameters",
    "Saturation": "saturation",
    "Trajectory": "trajectory",
    "UnitShare": "saturation",
    "Watch": "watch",
    "gradient_flow": "gradient_flow",
    "jacobian_spectrum": "jacobians",
    "lyapunov_exponents": "lyapunov",
    "parameters": "parameters",
    "recurrent_radii": "jacobians",
    "saturation": "saturation",
    "step_jacobians": "jacobians",
    "trajectories": "layers",
}

__all__ = [
    "Flow",
    "GateShare",
    "GradientFlow",
    "InsightError",
    "JacobianSpectrum",
    "ParameterTable",
    "Saturation",
    "Trajectory",
    "UnitShare",
    "Watch",
    "gradient_flow",
    "jacobian_spectrum",
    "lyapunov_exponents",
    "parameters",
    "recurrent_radii",
    "saturation",
    "step_jacobians",
    "trajectories",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
