# Written by `make stubs` from the files in ostinato/cells, not by hand.

from ostinato.cells.elman import rnn_relu as rnn_relu
from ostinato.cells.elman import rnn_sigmoid as rnn_sigmoid
from ostinato.cells.elman import rnn_tanh as rnn_tanh
from ostinato.cells.gru import gru as gru
from ostinato.cells.gru import gru_reset_before as gru_reset_before
from ostinato.cells.highway import rhn as rhn
from ostinato.cells.lstm import lstm as lstm
from ostinato.cells.minimal import min_gru as min_gru
from ostinato.cells.minimal import min_gru_positive as min_gru_positive
from ostinato.cells.minimal import min_lstm as min_lstm
from ostinato.cells.minimal import min_lstm_positive as min_lstm_positive
from ostinato.cells.registry import NamedCell

NAMED: dict[str, NamedCell]
__all__ = [
    "rnn_relu",
    "rnn_sigmoid",
    "rnn_tanh",
    "gru",
    "gru_reset_before",
    "rhn",
    "lstm",
    "min_gru",
    "min_gru_positive",
    "min_lstm",
    "min_lstm_positive",
]
