"""Steps one at a time, with the state kept inside: of one row, or of many rows that share the weights."""

from ostinato.nn.streams.plain import PlainRows, PlainStream
from ostinato.nn.streams.report import ErrorReport
from ostinato.nn.streams.rows import RowStream
from ostinato.nn.streams.state_file import StateFile
from ostinato.nn.streams.stream import Stream

__all__ = ["ErrorReport", "PlainRows", "PlainStream", "RowStream", "StateFile", "Stream"]
