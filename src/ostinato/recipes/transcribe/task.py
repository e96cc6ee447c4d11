"""The recipe `transcribe`, many to fewer: frames in, a shorter text out, aligned by CTC."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from ostinato.data.batches.batches import Batch, Examples
from ostinato.data.recordings.recording import Recordings
from ostinato.data.records.splits import Splits
from ostinato.data.sources.lines import opened_once
from ostinato.models.transcribing.transcriber import Transcriber
from ostinato.recipes.in_python.kept import LINES
from ostinato.recipes.learnt import Learnt
from ostinato.recipes.task import Judge, Task
from ostinato.recipes.trained import validation_of
from ostinato.recipes.transcribe.baselines import baselines
from ostinato.recipes.transcribe.data import TranscribeKnown, TranscriptExamples
from ostinato.recipes.transcribe.decoding import Transcript, spans, transcripts
from ostinato.recipes.transcribe.judge import TranscriptJudge
from ostinato.recipes.transcribe.reading import height_of, read_part, read_splits
from ostinato.recipes.transcribe.settings import TranscribeAnswering, TranscribeSettings
from ostinato.recipes.transcribe.values import values_in
from ostinato.training.loop.evaluation import Evaluation

if TYPE_CHECKING:
    from rich.text import Text

    from ostinato.insight.reasons.question import Question
    from ostinato.recipes.exporting.exported import Exported
    from ostinato.types import Lengths

LearntTranscriber: TypeAlias = Learnt[TranscribeSettings, TranscribeKnown, Transcriber]

_UNITS = 128  # of each direction, if there are two
_BATCH_STEPS = 2**14  # frames of a batch, of which a layer and the loss keep some 100 MB


class Transcribe(Task[TranscribeSettings, Recordings, TranscribeKnown, Transcriber]):
    """Transcription.

    An answer is the id of the recording, the text, its log-probability over all alignments, its confidence (the
    probability per unit, from 0 to 1), and the places of its characters and words; if more than one text is asked for,
    `texts` has all of them, best first.
    """

    name = "transcribe"
    settings = TranscribeSettings
    item = "unit"
    percentages = ("character_error_rate", "word_error_rate", "exact_match")
    errors = ("character_error_rate", "word_error_rate")
    files = ("reading.validation", "reading.test")
    rows = 64
    pair = LINES
    answering = TranscribeAnswering
    nothing_to_judge = "expected texts to validate with that have units of training and enough frames, got others only"

    def __init__(self) -> None:
        self._line = ""  # a true and a found text of the last evaluation

    @opened_once()
    def read(self, settings: TranscribeSettings) -> Splits[Recordings]:
        """Reads drawn lines without data; else rows of digits, pictures of lines, or recordings."""
        return read_splits(settings)

    @opened_once()
    def read_part(
        self, settings: TranscribeSettings, known: TranscribeKnown, data: str, *, labelled: bool
    ) -> Recordings:
        """Reads data of the kind that the run was trained on: pictures of lines, or recordings."""
        return read_part(settings, known, data, labelled=labelled)

    def from_values(self, settings: TranscribeSettings, known: TranscribeKnown, given: Any) -> tuple[Recordings, bool]:
        """Turns recordings into a part; for a run on pictures of lines, images of Pillow or their pixels."""
        return values_in(known, given)

    def learn(self, settings: TranscribeSettings, train: Recordings) -> TranscribeKnown:
        """Learns units, scale and frames."""
        height, stack = height_of(settings, train), settings.recording.stack
        return TranscribeKnown.of(train, settings.reading, stack, height, looks_ahead=not settings.model.bidirectional)

    def to_dict(self, known: TranscribeKnown) -> dict[str, Any]:
        """What is known as plain values."""
        return known.to_dict()

    def from_dict(self, content: dict[str, Any]) -> TranscribeKnown:
        """The inverse of `to_dict`."""
        return TranscribeKnown.from_dict(content)

    def examples(self, settings: TranscribeSettings, known: TranscribeKnown, part: Recordings) -> Examples:
        """Makes examples of frames and units."""
        return TranscriptExamples(part, known)

    def remarks(self, splits: Splits[Recordings]) -> list[str]:
        """Notes on the recordings, on those without text, and on groups."""
        parts = (splits.train, splits.validation, splits.test)
        lines = list(dict.fromkeys(note for part in parts for note in part.notes))
        groups = {each.group for each in splits.train.items if each.group is not None}
        if groups:
            lines.append(f"{splits.name}: recordings of one group stay in one part; {len(groups)} groups to train on")
        return lines

    def batch_steps(self, settings: TranscribeSettings) -> int:
        """The most steps of a batch, which bounds its memory."""
        return _BATCH_STEPS

    def fingerprint(self, examples: Examples) -> str | None:
        """A checksum of values and texts."""
        assert isinstance(examples, TranscriptExamples)
        digest = hashlib.sha256()
        for array in examples.arrays():
            digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def build(self, settings: TranscribeSettings, known: TranscribeKnown) -> Transcriber:
        """The untrained model."""
        # The fields of TranscriberSettings are the model's arguments, by name.
        given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
        if given["hidden_size"] is None:
            given["hidden_size"] = _UNITS if given["bidirectional"] else 2 * _UNITS
        return Transcriber(known.width, len(known.vocabulary), **given)

    def begin(self, settings: TranscribeSettings, known: TranscribeKnown, model: Transcriber) -> list[str]:
        """Notes on how frames are read, and on training texts that are too long for their frames."""
        frame = f"a frame is {known.stack} step{'s' * (known.stack > 1)} side by side, one every {known.stride}"
        what = "words" if known.tokens == "word" else "characters"
        lines = [f"{frame}; {len(known.vocabulary) - 1:,} {what} are written"]
        count, first = known.too_long
        if count:
            lines.append(
                f"{count:,} texts of training have more units than their recordings have frames, and are left out; the first is "
                f"{first}; smaller --reading.stride gives more frames"
            )
        return lines

    def judged_by(self, settings: TranscribeSettings) -> str | None:
        """The character error rate."""
        return "character_error_rate"

    def judge(self, learnt: LearntTranscriber, part: Recordings, examples: Examples, *, final: bool) -> TranscriptJudge:
        """A judge of error rates; while training, texts are written greedily, which takes less time."""
        assert isinstance(examples, TranscriptExamples)
        how = learnt.answering if final else TranscribeAnswering(beam=1)

        def write(log_probs: torch.Tensor, lengths: Lengths | None) -> list[Transcript]:
            return [best for best, *_ in transcripts(log_probs, lengths, learnt.known, how)]

        return TranscriptJudge(learnt.model, learnt.known, part, write, examples.too_long())

    def settle(self, learnt: LearntTranscriber, judge: Judge, found: Evaluation) -> Evaluation:
        """Keeps a line to show at the evaluation."""
        assert isinstance(judge, TranscriptJudge)
        self._line = judge.line()
        return found

    def sample(self, learnt: LearntTranscriber) -> Callable[[], str]:
        """A function that gives a validation text and the found one."""
        return lambda: self._line

    def baselines(
        self, settings: TranscribeSettings, train: Recordings, parts: Mapping[str, Recordings]
    ) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        """Figures of the most frequent text, and of a linear layer."""
        return baselines(self.learn(settings, train), train, parts)

    def exported(self, learnt: Any) -> Exported:
        """The graph of log-probabilities; the runner takes the likeliest unit of each frame."""
        from ostinato.recipes.transcribe.exported import exported

        return exported(learnt.model, learnt.known, validation_of(self, learnt))

    def question(self, learnt: LearntTranscriber, part: Recordings, batch: Batch, target: str | None) -> Question:
        """Asks why this text is the answer."""
        from ostinato.recipes.transcribe.explained import question

        return question(learnt, part, batch, target)

    def answers(self, learnt: LearntTranscriber, part: Recordings, batch: Batch) -> list[dict[str, Any]]:
        """The texts of each row."""
        known, how = learnt.known, learnt.answering
        log_probs = learnt.model(batch.input, batch.lengths)
        texts = transcripts(log_probs, batch.lengths, known, how)
        ends = [len(log_probs)] * len(texts) if batch.lengths is None else batch.lengths.tolist()
        found: list[dict[str, Any]] = []
        for at, (row, best) in enumerate(zip(batch.rows.tolist(), texts, strict=True)):
            recording = part[row]
            said = [
                {
                    "text": known.said(each.units),
                    "log_probability": each.log_probability,
                    "confidence": float(np.exp(each.log_probability / (len(each.units) + 1))),
                }
                for each in best
            ]
            answer: dict[str, Any] = {"id": recording.id, **said[0]}
            if how.n_best > 1:
                answer["texts"] = said
            if how.spans:
                values = log_probs[: ends[at], at].float().cpu().numpy()
                answer |= spans(values, best[0], known, len(recording), recording.times)
            found.append(answer)
        return found

    def shown(self, answer: Mapping[str, Any]) -> Text:
        """The recording's id and the text."""
        from rich.text import Text

        return Text(f"{answer['id']}: " if answer["id"] else "").append(answer["text"], style="bold")
