"""The error of a stream that stores its weights in a smaller dtype."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorReport:
    """The error that comes from storing weights in a smaller dtype.

    Attributes:
        weights: |rounded - exact| / |exact|, the norms over all weights of the products.
        outputs: the greatest difference from the output of exact weights, divided by the greatest magnitude of such an output.
        steps: the length of the sequence on which the outputs were compared.
    """

    weights: float
    outputs: float
    steps: int
