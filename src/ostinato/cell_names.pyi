# Written by `make stubs` from the files in ostinato/cells, not by hand.
from typing import Literal, NamedTuple, TypeAlias

CellName: TypeAlias = (
    Literal[
        "lstm",
        "gru",
        "rnn",
        "rhn",
        "mingru",
        "minlstm",
        "atr",
        "antisymmetricrnn",
        "brc",
        "cfn",
        "cfc",
        "cornn",
        "es2n",
        "esn",
        "fastgrnn",
        "fastrnn",
        "grud",
        "hgrn",
        "indrnn",
        "janet",
        "lem",
        "lmu",
        "lru",
        "ltc",
        "ligru",
        "mgu",
        "mlstm",
        "mut1",
        "mut2",
        "mut3",
        "minimalrnn",
        "mogrifierlstm",
        "multiplicativelstm",
        "nas",
        "nbrc",
        "peepholelstm",
        "phasedlstm",
        "qrnn",
        "ran",
        "rglru",
        "scrn",
        "slstm",
        "sru",
        "star",
        "ugrnn",
        "unicornn",
    ]
    | str
)

class Declared(NamedTuple):
    order: float
    name: str
    module: str
    @property
    def key(self) -> str: ...

def declared() -> tuple[Declared, ...]: ...
def catalogued() -> tuple[Declared, ...]: ...
def every() -> tuple[Declared, ...]: ...
def classes(of: tuple[Declared, ...] | None = None) -> list[str]: ...
def names_a_cell(text: object) -> bool: ...
def expected() -> str: ...
def unknown(name: object) -> str: ...
