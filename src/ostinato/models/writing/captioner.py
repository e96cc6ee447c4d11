"""One to many: an image in, a text out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack

import torch

from ostinato.data.batches.batches import TargetBatch
from ostinato.errors import ConfigError
from ostinato.models.parts.dropout import Dropout
from ostinato.models.parts.layers import AnyCell
from ostinato.models.parts.reading import reading
from ostinato.models.writing.beam import BeamSettings, beam_search
from ostinato.models.writing.decoder import AttentionDecoder, DecoderState
from ostinato.models.writing.decoding import DrawOptions, Hypothesis, WritingOptions, decode
from ostinato.models.writing.first_states import VectorFirstState
from ostinato.models.writing.image_encoder import EncoderName, ImageShape, make_image_encoder
from ostinato.models.writing.target_model import Predicted, TargetModel
from ostinato.nn.attention import Score
from ostinato.nn.lengths import takes_lists
from ostinato.types import Lengths


@dataclass(frozen=True)
class CaptionBatch(TargetBatch):
    """Images with P captions: each image has none, one or more.

    Attributes:
        input: (B, channels, height, width), images.
        target: (T_out, P) int64, without tokens for begin and end.
        owners: (P,) int64, the image of each caption; None if caption p is of image p.
    """

    owners: torch.Tensor | None = None


class Captioner(TargetModel):
    """Image encoder, first state, decoder with attention over the places of the image: p(caption | image).

    The decoder's first state is computed from the mean of all places. With teacher forcing and without input feeding,
    the decoder is one recurrence over all steps, and attention is one product for all of them. An image is encoded
    once, however many captions it has.

    Source: Xu et al. 2015, arXiv 1502.03044: attention over the places of a convolutional network, the first state from their
    mean (section 3.1.2). Here attention comes after the recurrence, as in `AttentionDecoder`.

    Args:
        image_shape: the shape of all images.
        vocabulary_size: V, including `begin` and `end`.
        begin: the token that is put before a caption.
        end: the token that is put after it.
        encoder: "convolution" or "rows", see `ostinato.models.writing.image_encoder`.
        features: F, the features of each place.
        stages: the stages of the convolution, each of which halves the image; None for as many as leave 8 places a side
            at most.
        embedding_size: E, the size of a token's vector.
        hidden_size: H, units of the decoder's layers.
        num_layers: the decoder's layers.
        cell: the cell of the decoder, and of an encoder of rows.
        attention: the score, see `ostinato.nn.Attention`; None for none: the decoder then knows only its first state.
        coverage: whether attention sees where it has looked before.
        input_feeding: see `AttentionDecoder`; slower.
        tied: whether the decoder's embedding is its output layer.
        dropout: the rate for places, embeddings, between layers, and for readouts, from 0 to below 1.
        label_smoothing: share of the training target that is spread over all tokens, in [0, 1) (Szegedy et al. 2016,
            section 7).
        options: keyword options of the decoder's layers.

    Raises:
        ConfigError: sizes, rates or options do not fit.
    """

    def __init__(
        self,
        image_shape: ImageShape | tuple[int, int, int],
        vocabulary_size: int,
        *,
        begin: int,
        end: int,
        encoder: EncoderName = "convolution",
        features: int = 128,
        stages: int | None = None,
        embedding_size: int = 64,
        hidden_size: int = 128,
        num_layers: int = 1,
        cell: AnyCell = "lstm",
        attention: Score | None = "scaled",
        coverage: bool = False,
        input_feeding: bool = False,
        tied: bool = False,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        options: Mapping[str, Any] | None = None,
    ):
        image_shape = ImageShape(*image_shape)  # a plain tuple will do
        sizes = {"vocabulary_size": vocabulary_size, "embedding_size": embedding_size, "hidden_size": hidden_size}
        sizes |= {"num_layers": num_layers}
        super().__init__(sizes, vocabulary_size, begin, end, dropout, label_smoothing)
        self.image_shape = image_shape
        self.encoder = make_image_encoder(encoder, image_shape, features, stages, cell)
        self.dropout = Dropout(dropout)
        self.decoder = AttentionDecoder(
            vocabulary_size,
            None if attention is None else self.encoder.size,
            embedding_size,
            hidden_size,
            num_layers,
            cell,
            attention=attention,
            coverage=coverage,
            input_feeding=input_feeding,
            dropout=dropout,
            tied=tied,
            options=options,
        )
        self.first = VectorFirstState(self.encoder.size, self.decoder.recurrent)

    def encode(self, images: torch.Tensor, owners: torch.Tensor | None = None) -> DecoderState:
        """Encodes the images, (B, channels, height, width); returns the state of the decoder before its first token.

        Args:
            images: B images.
            owners: (P,), the image of each row of the state; None for one row for each image.

        Raises:
            ConfigError: the images have another shape than `image_shape`, or are not of floating point numbers.
        """
        if images.shape[1:] != self.image_shape or not images.is_floating_point():
            shape = ", ".join(map(str, self.image_shape))
            raise ConfigError(
                f"images: expected floating point numbers (B, {shape}), got {images.dtype} {tuple(images.shape)}; "
                "scale them to the size and the range that training had"
            )
        places = self.dropout(self.encoder(images))
        if owners is not None:
            places = places.index_select(1, owners)
        return self.decoder.begin(self.first(places.mean(0)), places)

    @takes_lists
    def forward(
        self,
        images: torch.Tensor,
        target: torch.Tensor,
        target_lengths: Lengths | None = None,
        owners: torch.Tensor | None = None,
    ) -> Predicted:
        """Predicts the captions, each token known to the steps after it; for shapes see `CaptionBatch`.

        Returns:
            Logits (T_out + 1, P, V), of each token and of the end after it; weights (T_out + 1, P, places).
        """
        return self._predicted(self.encode(images, owners), target, target_lengths)

    def loss(self, batch: CaptionBatch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The mean cross entropy of the captions' tokens and ends, in nats a token, a scalar; and None for a state.

        Label smoothing acts in training only. Without captions the loss is 0.
        """
        state = self.encode(batch.input, batch.owners)
        return self._target_loss(state, batch.target, batch.target_lengths)[0], None

    def caption(
        self,
        images: torch.Tensor,
        *,
        max_length: int = 100,
        beam: BeamSettings | None = None,
        **options: Unpack[WritingOptions],
    ) -> list[list[Hypothesis]]:
        """The best captions of each image by beam search, best first.

        Args:
            images: (B, channels, height, width).
            max_length: the tokens of a caption at most.
            beam: the settings of the search; None for `BeamSettings()`.
            **options: see `WritingOptions`.
        """
        with reading(self):
            how = self._writing(images.device, max_length, **options)
            return beam_search(self.decoder, self.encode(images), len(images), settings=beam, **how)

    def write(self, images: torch.Tensor, *, max_length: int = 100, **options: Unpack[DrawOptions]) -> list[Hypothesis]:
        """One caption for each image, greedy or drawn; see `caption`, `DrawOptions` and `ostinato.models.decode`."""
        with reading(self):
            how = self._writing(images.device, max_length, **options)
            return decode(self.decoder, self.encode(images), len(images), **how)
