"""The single steps by name: one of each layer in `ostinato.nn.layers`, with torch.nn's semantics and `state_dict`."""

from ostinato.cells.library import NAMED
from ostinato.nn.named import named_class
from ostinato.nn.step import Step

_made = [named_class(each, Step, f"{each.name}Cell", __name__) for each in NAMED.values()]
globals().update({kind.__name__: kind for kind in _made})
__all__ = [kind.__name__ for kind in _made]  # pyright: ignore[reportUnsupportedDunderAll]
