"""What a recurrence is: the maths, once. Nothing here knows how a step is run."""

from ostinato.cells.elman import rnn_relu, rnn_sigmoid, rnn_tanh
from ostinato.cells.gru import gru, gru_reset_before
from ostinato.cells.highway import rhn
from ostinato.cells.lstm import lstm
from ostinato.cells.minimal import min_gru, min_gru_positive, min_lstm, min_lstm_positive
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
    "gru",
    "gru_reset_before",
    "identity",
    "lstm",
    "min_gru",
    "min_gru_positive",
    "min_lstm",
    "min_lstm_positive",
    "rhn",
    "rnn_relu",
    "rnn_sigmoid",
    "rnn_tanh",
]
