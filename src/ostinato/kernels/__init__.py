"""How a recurrence is run. Other packages call `dispatch`, and do not know the backends behind it."""

from ostinato.kernels.dispatch import Choice, backend
from ostinato.kernels.request import Request, Result, Weights

__all__ = ["Choice", "Request", "Result", "Weights", "backend"]
