"""From a trained model to C99: one header and one source, without allocation, for any machine with a C compiler."""

from ostinato.exporting.c.error import WeightError
from ostinato.exporting.c.write import WrittenC, write_c

__all__ = ["WeightError", "WrittenC", "write_c"]
