"""What a streaming step reads: a header, and a record for each layer; defined here without the compiler."""

from __future__ import annotations

from dataclasses import dataclass

HEADER = ("layers", "record_bytes", "backwards", "rows", "meet", "meeting")  # the fields before the layers' records
NAME, START = "stream", "start"  # the names of the functions
UNIT_BYTES = 64  # room for the unit, behind what enters a product in another form
# How many numbers `start` reads; the index of the number of threads; the index of the next call (its `start`, then its argument).
ARGUMENTS, THREADS, NEXT = 10, 5, 8


@dataclass(frozen=True)
class Described:
    """What the caller needs to know of the code, in plain data, which is stored with the code on disk.

    Attributes:
        fields: the names of the fields of a layer's record, in order.
        passes: for each pass its products: (source, pieces), where source is "x" or the number of a product.
        spaces: for each pass the space of its units.
        products: for each product its matrix, its gates, the space of what enters, and its heads.
        kept: for each space, how many results of products are kept.
        scratch: for each space, how many other values are kept.
        sums: how many sums over units there are.
        least: for some letters, the least number of units.
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
        """The largest number of vectors that enter products in one pass."""
        return max(len({source for source, _ in segments}) for segments in self.passes)
