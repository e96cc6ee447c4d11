"""How a recurrence is run. `dispatch` is the door; nothing above this room knows what is behind it."""

from ostinato.kernels.dispatch import Choice, backend
from ostinato.kernels.request import Request, Result, Weights

__all__ = ["Choice", "Request", "Result", "Weights", "backend"]
