# Written by `make stubs` from the files in ostinato/cells, not by hand.
from typing import Literal, NamedTuple, TypeAlias

CellName: TypeAlias = Literal["lstm", "gru", "rnn", "rhn", "mingru", "minlstm"]

class Declared(NamedTuple):
    order: float
    name: str
    module: str
    @property
    def key(self) -> str: ...

def declared() -> tuple[Declared, ...]: ...
def classes() -> list[str]: ...
