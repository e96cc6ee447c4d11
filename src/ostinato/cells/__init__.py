"""What a recurrence is: the maths, once. Nothing here knows how a step is run."""

from ostinato.cells.elman import rnn_relu, rnn_sigmoid, rnn_tanh
from ostinato.cells.gru import gru, gru_reset_before
from ostinato.cells.lstm import lstm
from ostinato.cells.named import Gates, State
from ostinato.cells.product import Product
from ostinato.cells.spec import Cell, Noise, Parameter, cell, identity

__all__ = [
    "Cell",
    "Gates",
    "Noise",
    "Parameter",
    "Product",
    "State",
    "cell",
    "gru",
    "gru_reset_before",
    "identity",
    "lstm",
    "rnn_relu",
    "rnn_sigmoid",
    "rnn_tanh",
]
