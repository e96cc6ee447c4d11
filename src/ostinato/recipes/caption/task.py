"""The recipe `caption`, one to many: images in; a text out, by words or letters, and where the decoder looked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from ostinato.data.batches.batches import Batch, Examples
from ostinato.data.records.captions import Captioned, read_caption_splits
from ostinato.data.records.splits import Splits
from ostinato.data.sources.builtin import digits_in_words
from ostinato.errors import ConfigError
from ostinato.models.parts.reading import reading
from ostinato.models.writing.captioner import CaptionBatch, Captioner
from ostinato.models.writing.decoding import Hypothesis
from ostinato.recipes.caption.baselines import baselines
from ostinato.recipes.caption.data import CaptionedImages, CaptionKnown, read_part
from ostinato.recipes.caption.judge import CaptionJudge
from ostinato.recipes.caption.prediction import CaptionPrediction
from ostinato.recipes.caption.settings import CaptionAnswering, CaptionReadingSettings, CaptionSettings
from ostinato.recipes.caption.values import part_of
from ostinato.recipes.learnt import Learnt
from ostinato.recipes.task import Judge, Task
from ostinato.recipes.text_target import checksum, hypotheses
from ostinato.recipes.trained import validation_of

if TYPE_CHECKING:
    from rich.text import Text

    from ostinato.insight.reasons.question import Question
    from ostinato.recipes.exporting.exported import Exported

LearntCaptioner: TypeAlias = Learnt[CaptionSettings, CaptionKnown, Captioner]


class Caption(Task[CaptionSettings, Captioned, CaptionKnown, Captioner]):
    """Captions of images.

    An answer is the caption and its log-probability, and for files their name; if more than one caption is asked for,
    `captions` has all of them, best first.
    """

    name = "caption"
    settings = CaptionSettings
    prediction = CaptionPrediction
    pair = ("image", "caption")
    item = "token"
    percentages = ("exact_match",)
    files = ("reading.validation", "reading.test")
    rows = 64
    answering = CaptionAnswering

    def read(self, settings: CaptionSettings) -> Splits[Captioned]:
        """Reads the built-in digits in words without data; else pictures named in JSON lines."""
        reading = settings.reading
        if settings.data is None:
            if reading.validation or reading.test or reading.size or reading.grey is not None:
                raise ConfigError(
                    "reading.validation, test, size and grey are for data of your own; give data, or leave them out"
                )
            return digits_in_words(reading.language)
        if reading.language != CaptionReadingSettings.language:
            raise ConfigError("reading.language is of the built-in digits; leave it out where there are data")
        return read_caption_splits(
            settings.data,
            reading.validation,
            reading.test,
            size=reading.height_and_width,
            grey=reading.grey,
            validation_share=reading.validation_share,
            test_share=reading.test_share,
            skip_broken=reading.skip_broken,
        )

    def read_part(self, settings: CaptionSettings, known: CaptionKnown, data: str, *, labelled: bool) -> Captioned:
        """Reads pictures, scaled to the size that the run was trained with."""
        return read_part(data, known, labelled=labelled, skip_broken=settings.reading.skip_broken)

    def remarks(self, splits: Splits[Captioned]) -> list[str]:
        """Notes on pictures that cannot be read."""
        parts = (splits.train, splits.validation, splits.test)
        return list(dict.fromkeys(note for part in parts for note in part.notes))

    def reads_tables(self, known: CaptionKnown) -> bool:
        """False: pictures do not come in tables."""
        return False

    def from_values(self, settings: CaptionSettings, known: CaptionKnown, given: Any) -> tuple[Captioned, bool]:
        """Turns images into a part."""
        return part_of(known, given)

    def learn(self, settings: CaptionSettings, train: Captioned) -> CaptionKnown:
        """Learns the vocabulary and the scale of pixels."""
        return CaptionKnown.of(train, settings.reading)

    def to_dict(self, known: CaptionKnown) -> dict[str, Any]:
        """What is known as plain values."""
        return known.to_dict()

    def from_dict(self, content: dict[str, Any]) -> CaptionKnown:
        """The inverse of `to_dict`."""
        return CaptionKnown.from_dict(content)

    def examples(self, settings: CaptionSettings, known: CaptionKnown, part: Captioned) -> Examples:
        """Makes examples of images with all of their captions."""
        return CaptionedImages(part, known, settings.reading.max_length)

    def fingerprint(self, examples: Examples) -> str | None:
        """A checksum of pixels and captions."""
        assert isinstance(examples, CaptionedImages)
        pixels = np.ascontiguousarray(examples.images.pixels)
        captions = (ids for of_image in examples.ids for ids in of_image)
        return checksum(captions, str(pixels.shape).encode(), pixels.tobytes())

    def build(self, settings: CaptionSettings, known: CaptionKnown) -> Captioner:
        """The untrained model."""
        # The fields of CaptionerSettings are the model's arguments, by name.
        given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
        marked = known.marked
        return Captioner(known.shape, len(marked), begin=marked.begin, end=marked.end, **given)

    def judge(self, learnt: LearntCaptioner, part: Captioned, examples: Examples, *, final: bool) -> Judge:
        """A judge of exact match, BLEU and chrF; while training, captions are written greedily, which is faster."""
        how = learnt.answering if final else CaptionAnswering(beam=1)

        def write(images: torch.Tensor) -> list[Hypothesis]:
            return [best for best, *_ in captions(learnt, images, how)]

        return CaptionJudge(learnt.model, learnt.known, part, write)

    def baselines(
        self, settings: CaptionSettings, train: Captioned, parts: Mapping[str, Captioned]
    ) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        """Figures of the most frequent caption."""
        return baselines(train, parts, settings.reading)

    def exported(self, learnt: Any) -> Exported:
        """The graphs of the encoder and of a decoder step."""
        from ostinato.recipes.caption.exported import exported

        return exported(learnt.model, learnt.known, validation_of(self, learnt))

    def question(self, learnt: LearntCaptioner, part: Captioned, batch: Batch, target: str | None) -> Question:
        """Asks which rows and columns of the image made the caption."""
        from ostinato.recipes.caption.explained import question

        with reading(learnt.model):
            best = captions(learnt, batch.input, learnt.answering)[0][0]
        return question(learnt, part, batch, target, list(best.tokens))

    def answers(self, learnt: LearntCaptioner, part: Captioned, batch: Batch) -> list[dict[str, Any]]:
        """The captions of each image of a batch."""
        assert isinstance(batch, CaptionBatch)
        found = []
        for row, best in zip(batch.rows.tolist(), captions(learnt, batch.input, learnt.answering), strict=True):
            said = [
                {"caption": learnt.known.said(each.tokens), "log_probability": each.log_probability} for each in best
            ]
            name = {"file": part.names[row]} if part.names else {}
            found.append({**name, **said[0], **({"captions": said} if learnt.answering.n_best > 1 else {})})
        return found

    def shown(self, answer: Mapping[str, Any]) -> Text:
        """The file's name and the caption."""
        from rich.text import Text

        return Text(f"{answer['file']}: " if "file" in answer else "").append(answer["caption"], style="bold")


def captions(learnt: LearntCaptioner, images: torch.Tensor, how: CaptionAnswering) -> list[list[Hypothesis]]:
    """The captions of scaled images (B, channels, height, width), for each image best first."""
    unknown = learnt.known.vocabulary.unknown_id
    return hypotheses(
        how,
        partial(learnt.model.write, images),
        partial(learnt.model.caption, images),
        seed=how.seed,
        max_length=how.max_length or 2 * learnt.known.longest + 10,
        forbidden=() if unknown is None else (unknown,),
    )
