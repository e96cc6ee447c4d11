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
    """Images, and P captions of them: none, one or more of each.

    Attributes:
        input: (B, channels, height, width), images.
        target: (T_out, P) int64, without tokens for begin and end.
        owners: (P,) int64, which of the images each caption is of; None where caption p is of image p.
    """

    owners: torch.Tensor | None = None


class Captioner(TargetModel):
    """Image encoder, first state, decoder with attention over the places of the image: p(caption | image).

    The first state of the decoder is made from the mean of all places. With teacher forcing, and without input feeding, the decoder
    is one recurrence over all steps and attention is one product for all of them. An image is encoded once, however many captions
    it has.

    Source: Xu et al. 2015, arXiv 1502.03044: attention over the places of a convolutional network, the first state from their
    mean (section 3.1.2). Here attention comes after the recurrence, as in `AttentionDecoder`.

    Args:
        image_shape: of all images.
        vocabulary_size: V, `begin` and `end` counted.
        begin: the token that a caption is made to begin with.
        end: the token that it is made to end with.
        encoder: "convolution" or "rows", see `ostinato.models.writing.image_encoder`.
        features: F, of each place.
        stages: of the convolution, each of which halves the image; None for as many as leave 8 places a side at most.
        embedding_size: E, of the tokens.
        hidden_size: H, of the decoder's layers.
        num_layers: of the decoder.
        cell: of the decoder, and of an encoder of rows.
        attention: the score, see `ostinato.nn.Attention`; None for none, where the first state is all that the decoder knows.
        coverage: whether attention sees where it has looked before.
        input_feeding: see `AttentionDecoder`; slower.
        tied: the decoder's embedding is its output layer.
        dropout: of places, embeddings, between layers, and of readouts, from 0 to below 1.
        label_smoothing: share of the training target that is spread over all tokens, in [0, 1) (Szegedy et al. 2016, section 7).
        options: keyword options of the decoder's layers.

    Raises:
        ConfigError: sizes, rates or options that do not fit.
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
        """Looks at the images, (B, channels, height, width); returns the state of the decoder before its first token.

        Args:
            images: B of them.
            owners: (P,), which image each row of the state is for; None for one row each.

        Raises:
            ConfigError: the images have another shape than `image_shape`, or are no floating point numbers.
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
        """What is said of the captions, each token known to the steps after it; for shapes see `CaptionBatch`.

        Returns:
            Logits (T_out + 1, P, V), of each token and of the end after it; weights (T_out + 1, P, places).
        """
        return self._predicted(self.encode(images, owners), target, target_lengths)

    def loss(self, batch: CaptionBatch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The mean cross entropy of the captions' tokens and ends, in nats a token, a scalar, and no state.

        Label smoothing acts in training only. Without a caption it is 0.
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
        """Beam search; the best captions of each image, best first.

        Args:
            images: (B, channels, height, width).
            max_length: the most tokens of a caption.
            beam: None for `BeamSettings()`.
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
