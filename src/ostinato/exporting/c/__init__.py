"""Export of a trained model to C99: a header and a source that allocate nothing, for any machine with a C compiler."""

from ostinato.exporting.c.error import WeightError
from ostinato.exporting.c.write import WrittenC, write_c

__all__ = ["WeightError", "WrittenC", "write_c"]
