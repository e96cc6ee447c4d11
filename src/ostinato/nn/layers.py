"""The layers by name: torch.nn's arguments in torch.nn's order, then, by keyword only, what torch.nn has never had.

Each is made from a named cell of `ostinato.cells`; `RNN`, `LSTM` and `GRU` drop in for torch.nn's. `make stubs` writes the
signatures of these classes to a stub file for editors.
"""

from ostinato.cells.library import NAMED
from ostinato.nn.named import named_class
from ostinato.nn.recurrent import Recurrent

_made = [named_class(each, Recurrent, each.name, __name__) for each in NAMED.values()]
globals().update({kind.__name__: kind for kind in _made})
__all__ = [kind.__name__ for kind in _made]  # pyright: ignore[reportUnsupportedDunderAll]
