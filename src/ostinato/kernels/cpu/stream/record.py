"""What a streaming step is handed: a header and a record for each layer; known without the compiler."""

from __future__ import annotations

from dataclasses import dataclass

HEADER = ("layers", "record_bytes", "backwards", "rows", "meet", "meeting")  # the fields before the layers' records
NAME, START = "stream", "start"  # of the functions
UNIT_BYTES = 64  # behind what enters a product in another form, for its unit
# Numbers that `start` is handed; which of them says how many threads there are; where that of a call behind it begins.
ARGUMENTS, THREADS, NEXT = 10, 5, 8


@dataclass(frozen=True)
class Described:
    """What the caller needs to know of the code; plain enough to be kept beside it.

    Attributes:
        fields: names of the fields of a layer's record, in order.
        passes: what each pass multiplies: (source, pieces), source "x" or the number of a product.
        spaces: of the units of each pass.
        products: matrix, gates, the space of what enters, and the heads, of each product.
        kept: products' results that are kept, for each space.
        scratch: values that are kept, for each space.
        sums: sums over units.
        least: of some letters, how many units there must be.
    """

    fields: tuple[str, ...]
    passes: tuple[tuple[tuple[str, tuple[int, ...]], ...], ...]
    spaces: tuple[str, ...]
    products: tuple[tuple[str, tuple[int, ...], str, int], ...]
    kept: dict[str, int]
    scratch: dict[str, int]
    sums: int
    least: dict[str, int]

    @property
    def sources(self) -> int:
        """Vectors that are multiplied in one pass, at most."""
        return max(len({source for source, _ in segments}) for segments in self.passes)
