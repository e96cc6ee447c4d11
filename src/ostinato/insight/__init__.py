"""Why a recurrent network learns or does not: gradient flow, Jacobians, Lyapunov exponents, saturation, parameters, plots.

Every function takes any model that holds recurrent layers, ours or torch.nn's, looks at one pass over a batch, and leaves the model
as it was. Names are loaded when they are first used, so that importing `ostinato.insight` loads neither torch nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.insight.flow import Flow, GradientFlow, gradient_flow
    from ostinato.insight.gates import GateShare, Saturation, UnitShare, saturation
    from ostinato.insight.jacobians import JacobianSpectrum, jacobian_spectrum, recurrent_radii, step_jacobians
    from ostinato.insight.layers import InsightError, trajectories
    from ostinato.insight.lyapunov import lyapunov_exponents
    from ostinato.insight.parameter_table import ParameterTable, parameters
    from ostinato.insight.trajectory import Trajectory
    from ostinato.insight.watch import Watch

# No module has the name of a function in it: once imported, it would stand here in the function's place.
_HOMES = {
    "Flow": "flow",
    "GateShare": "gates",
    "GradientFlow": "flow",
    "InsightError": "layers",
    "JacobianSpectrum": "jacobians",
    "ParameterTable": "parameter_table",
    "Saturation": "gates",
    "Trajectory": "trajectory",
    "UnitShare": "gates",
    "Watch": "watch",
    "gradient_flow": "flow",
    "jacobian_spectrum": "jacobians",
    "lyapunov_exponents": "lyapunov",
    "parameters": "parameter_table",
    "recurrent_radii": "jacobians",
    "saturation": "gates",
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
