"""The recurrences as mathematics, each written once. Nothing here knows which kernel runs a step."""

from ostinato.cells import library
from ostinato.cells.library import *  # noqa: F403 - the cells of every file
from ostinato.cells.named import Gates, State
from ostinato.cells.product import Product
from ostinato.cells.spec import Cell, MaskSpec, Parameter, cell, identity

__all__ = [
    "Cell",
    "Gates",
    "MaskSpec",
    "Parameter",
    "Product",
    "State",
    "cell",
    "identity",
]
__all__ += library.__all__
