"""One to many: an image in, a text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ostinato.data.batches import TargetBatch
from ostinato.errors import ConfigError
from ostinato.models.beam import BeamSettings, beam_search
from ostinato.models.decoding import Hypothesis, decode, never
from ostinato.models.dropout import Dropout, check_rate
from ostinato.models.first_states import FirstState
from ostinato.models.image_encoder import EncoderName, ImageShape, make_image_encoder
from ostinato.models.layers import CellName
from ostinato.models.output_loss import output_cross_entropy
from ostinato.models.reading import reading
from ostinato.models.seq2seq import Predicted
from ostinato.models.seq2seq_decoder import AttentionDecoder, DecoderState
from ostinato.nn.attention import Score
from ostinato.nn.lengths import moved, takes_lists
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


class Captioner(nn.Module):
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
        encoder: "convolution" or "rows", see `ostinato.models.image_encoder`.
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
        image_shape: ImageShape,
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
        cell: CellName = "lstm",
        attention: Score | None = "scaled",
        coverage: bool = False,
        input_feeding: bool = False,
        tied: bool = False,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        image_shape = ImageShape(*image_shape)  # a plain tuple will do
        sizes = {"vocabulary_size": vocabulary_size, "embedding_size": embedding_size, "hidden_size": hidden_size}
        for name, size in (sizes | {"num_layers": num_layers}).items():
            if size < 1:
                raise ConfigError(f"{name}: expected at least 1, got {size}")
        for name, id in (("begin", begin), ("end", end)):
            if not 0 <= id < vocabulary_size:
                raise ConfigError(f"{name}: expected a token from 0 to {vocabulary_size - 1}, got {id}")
        check_rate("dropout", dropout)
        check_rate("label_smoothing", label_smoothing)
        self.begin, self.end, self.label_smoothing = begin, end, label_smoothing
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
        self.first = FirstState(self.encoder.size, self.decoder.recurrent)

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
        lengths = None if target_lengths is None else moved(target_lengths, target.device)
        input, _ = self._marked(target, lengths)
        written = self.decoder(input, self.encode(images, owners), None if lengths is None else lengths + 1)
        return Predicted(self.decoder.logits(written.readout), written.weights)

    def loss(self, batch: CaptionBatch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The mean cross entropy of the captions' tokens and ends, in nats a token, a scalar, and no state.

        Label smoothing acts in training only. Without a caption it is 0.
        """
        target = batch.target
        lengths = None if batch.target_lengths is None else moved(batch.target_lengths, target.device)
        input, output = self._marked(target, lengths)
        first = self.encode(batch.input, batch.owners)
        written = self.decoder(input, first, None if lengths is None else lengths + 1)
        if lengths is None:
            readout, wanted = written.readout.flatten(0, 1), output.flatten()
        else:  # the tokens of padding do not even go through the output layer
            valid = torch.arange(len(output), device=output.device).unsqueeze(1) <= lengths
            readout, wanted = written.readout[valid], output[valid]
        smoothing = self.label_smoothing if self.training else 0.0
        return output_cross_entropy(self.decoder.output, readout, wanted, label_smoothing=smoothing), None

    def _marked(self, target: torch.Tensor, lengths: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """What is read and what is to be written, (T_out + 1, P) each: with begin before it, with ends behind it."""
        if lengths is not None:  # what a reader put there may be no token at all
            steps = torch.arange(len(target), device=target.device).unsqueeze(1)
            target = target.masked_fill(steps >= lengths, self.end)
        row = target.new_full((1, target.shape[1]), self.begin)
        return torch.cat((row, target)), torch.cat((target, torch.full_like(row, self.end)))

    # --- images in, captions out ---

    def caption(
        self,
        images: torch.Tensor,
        *,
        max_length: int = 100,
        beam: BeamSettings | None = None,
        forbidden: Sequence[int] = (),
        should_stop: Callable[[], bool] = never,
    ) -> list[list[Hypothesis]]:
        """Beam search; the best captions of each image, best first.

        Args:
            images: (B, channels, height, width).
            max_length: the most tokens of a caption.
            beam: None for `BeamSettings()`.
            forbidden: tokens that are never written, beside `begin`.
            should_stop: asked at every step.
        """
        with reading(self):
            return beam_search(
                self.decoder,
                self.encode(images),
                len(images),
                begin=self.begin,
                end=self.end,
                max_length=max_length,
                settings=beam,
                forbidden=self._never_written(forbidden),
                device=images.device,
                should_stop=should_stop,
            )

    def write(
        self,
        images: torch.Tensor,
        *,
        max_length: int = 100,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        forbidden: Sequence[int] = (),
        seed: int | None = None,
        should_stop: Callable[[], bool] = never,
    ) -> list[Hypothesis]:
        """One caption for each image, greedy or drawn; see `caption` and `ostinato.models.decode`."""
        with reading(self):
            return decode(
                self.decoder,
                self.encode(images),
                len(images),
                begin=self.begin,
                end=self.end,
                max_length=max_length,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                forbidden=self._never_written(forbidden),
                seed=seed,
                device=images.device,
                should_stop=should_stop,
            )

    def _never_written(self, forbidden: Sequence[int]) -> tuple[int, ...]:
        return tuple({self.begin, *forbidden} - {self.end})
