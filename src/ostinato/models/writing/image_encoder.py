"""Encoding an image into places that a decoder can look at: a small convolutional network, or a recurrence."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.models.parts.layers import AnyCell, make_layers, output_size

EncoderName: TypeAlias = Literal["convolution", "rows"]
ENCODERS: tuple[EncoderName, ...] = ("convolution", "rows")

_MOST_PLACES = 8  # places of a side: attention over a coarse grid learns from few images
_LEAST_CHANNELS = 16
_NARROW = 32


class ImageShape(NamedTuple):
    """The shape that all images have."""

    channels: int
    height: int
    width: int


class ConvolutionalEncoder(nn.Module):
    """Stages of two 3 x 3 convolutions, group norm and ReLU, each ending in 2 x 2 max pooling, after Simonyan & Zisserman 2015.

    Group norm (Wu & He 2018), not batch norm, so that outputs for an image do not depend on the other images, in
    training either, and so that no running mean must be kept equal in several processes. A linear map of all places,
    each narrowed to 32 numbers, is added to every place: wherever a decoder looks, it knows what is where. Without it
    training takes much longer.

    Args:
        shape: the shape of the images.
        features: F, channels of the last stage; each earlier stage has half of those of the next one, but at least 16.
        stages: the number of stages; None for as many as leave 8 places a side at most, and at least one.

    Attributes:
        places: rows and columns of the grid of places.
        size: F.

    Raises:
        ConfigError: a number is out of its range.
    """

    def __init__(self, shape: ImageShape, features: int = 128, stages: int | None = None):
        super().__init__()
        longest = max(shape.height, shape.width)
        if stages is None:
            stages = max(1, math.ceil(math.log2(longest / _MOST_PLACES)))
        for name, value in (("features", features), ("stages", stages)):
            if value < 1:
                raise ConfigError(f"{name}: expected at least 1, got {value}")
        if 2 ** (stages - 1) >= longest:
            raise ConfigError(
                f"stages: expected fewer than {stages} for images of {shape.height} x {shape.width}, as each halves them"
            )
        self.size = features
        layers: list[nn.Module] = []
        channels, height, width = shape
        for stage in range(stages):
            wide = max(features >> (stages - 1 - stage), min(_LEAST_CHANNELS, features))
            for entering in (channels, wide):
                layers += [
                    nn.Conv2d(entering, wide, 3, padding=1, bias=False),
                    nn.GroupNorm(math.gcd(wide, 8), wide),
                    nn.ReLU(),
                ]
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            channels, height, width = wide, -(-height // 2), -(-width // 2)
        self.places = height, width
        self.layers = nn.Sequential(*layers)
        narrow = min(_NARROW, features)
        self.narrow = nn.Linear(features, narrow)
        nn.init.kaiming_normal_(self.narrow.weight, nonlinearity="relu")
        self.whole = nn.Linear(height * width * narrow, features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Turns (B, channels, height, width) into places, (places, B, F), row by row."""
        places = self.layers(images).flatten(2).permute(2, 0, 1)
        whole = self.whole(torch.relu(self.narrow(places)).transpose(0, 1).flatten(1))
        return places + whole


class RowEncoder(nn.Module):
    """A recurrence in two directions over the rows of an image: a place is a row.

    Args:
        shape: the shape of the images.
        features: F, the features of both directions together; even.
        cell: the recurrent layer.

    Attributes:
        places: the number of rows, and 1.
        size: F.

    Raises:
        ConfigError: a number is out of its range.
    """

    def __init__(self, shape: ImageShape, features: int = 128, cell: AnyCell = "lstm"):
        super().__init__()
        if features < 2 or features % 2:
            raise ConfigError(f"features: expected an even number for two directions over the rows, got {features}")
        self.places = shape.height, 1
        self.recurrent = make_layers(cell, shape.channels * shape.width, features // 2, bidirectional=True)
        self.size = output_size(self.recurrent)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Turns (B, channels, height, width) into rows, (height, B, F)."""
        return self.recurrent(images.permute(2, 0, 1, 3).flatten(2))[0]


def make_image_encoder(
    name: EncoderName, shape: ImageShape, features: int, stages: int | None, cell: AnyCell
) -> ConvolutionalEncoder | RowEncoder:
    """The encoder with a name; arguments that it does not need are ignored, except `stages`.

    Raises:
        ConfigError: the name is unknown, or arguments do not fit.
    """
    if name not in ENCODERS:
        raise ConfigError(f"encoder: expected one of {', '.join(ENCODERS)}, got {name}")
    if name == "convolution":
        return ConvolutionalEncoder(shape, features, stages)
    if stages is not None:
        raise ConfigError(f"stages: expected none for an encoder of rows, which has no stages, got {stages}")
    return RowEncoder(shape, features, cell)
