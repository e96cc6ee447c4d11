"""What it costs to hold the weights of a stream in a smaller dtype."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorReport:
    """What it costs to hold the weights in a smaller dtype.

    Attributes:
        weights: |rounded - exact| / |exact|, the norms over all weights of the products.
        outputs: the greatest difference of an output from that of exact weights, divided by the greatest output.
        steps: of the sequence on which the outputs were compared.
    """

    weights: float
    outputs: float
    steps: int
