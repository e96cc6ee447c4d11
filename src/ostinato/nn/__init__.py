"""Recurrent layers that drop in for `torch.nn`'s."""

from torch.nn import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN"]
