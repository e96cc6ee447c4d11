"""A classifier as a graph: logits of the network; the runner adds the logits of naive Bayes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ostinato.data.recordings.recording import Recordings
from ostinato.data.records.images import Images
from ostinato.data.records.targets import SEVERAL, sets_of
from ostinato.exporting.graph import Around, Graph, Port
from ostinato.exporting.layers import drawn
from ostinato.models.classifying.classifier import Classifier
from ostinato.models.classifying.several import MultiLabelClassifier
from ostinato.recipes.classify.data import ClassifyKnown, Part
from ostinato.recipes.classify.settings import ClassifyReadingSettings
from ostinato.recipes.exporting.exported import (
    ROW_LENGTHS,
    Exported,
    drawn_lengths,
    drawn_tokens,
    refuse_extras,
    tokens_port,
)
from ostinato.types import Tensor

_JUDGED = 500


class _Logits(Around):
    """The graph of the network's logits, times their fitted scale; images have no lengths."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, input: Tensor, lengths: Tensor | None = None) -> tuple[Tensor]:
        """The logits, (B, C)."""
        return (self.model.scales[0] * self.model._network(input, lengths),)


def exported(
    model: Classifier, known: ClassifyKnown, reading: ClassifyReadingSettings, validation: Callable[[], Part]
) -> Exported:
    """The graph, the classes, and how a runner makes the graph's input of texts, pixels or recordings."""
    vocabulary, scaling = known.vocabulary, known.scaling
    refuse_extras(scaling)
    if scaling is not None:
        inputs: Sequence[Port] = [
            Port("steps", ("T", "B", scaling.width), "steps of recordings, as the runner scales and stacks them"),
            ROW_LENGTHS,
        ]
    elif vocabulary is None:
        assert known.row is not None
        inputs = [Port("rows", ("T", "B", known.row), "pixels of a row, (value / white - mean) / deviation")]
    else:
        inputs = [tokens_port("tokens", ("T", "B"), len(vocabulary)), ROW_LENGTHS]

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
        if scaling is not None:
            return [drawn(inputs[0].axes, sizes, generator), drawn_lengths(sizes, generator, least=1)]
        if vocabulary is None:
            return [drawn(inputs[0].axes, sizes, generator)]
        tokens = drawn_tokens(("T", "B"), len(vocabulary), sizes, generator)
        return [tokens, drawn_lengths(sizes, generator, least=1)]

    about = "logits: softmax gives probabilities" + (
        ", after those of naive Bayes are added" * (model.naive_bayes is not None)
    )
    if known.target != "class":
        said = (
            "of each label: sigmoid gives its probability" if known.number is None else "at the scale of the constants"
        )
        about = f"what is said {said}"
    outputs = (Port("logits", ("B", model.output.out_features), about),)
    graph = Graph("classifier", _Logits(model), tuple(inputs), outputs, draw, prefix="model.")
    constants = {
        "classes": list(known.classes),
        "target": known.target,
        "number": None if known.number is None else dataclasses.asdict(known.number),
        "threshold": float(model.threshold) if isinstance(model, MultiLabelClassifier) else None,
        "vocabulary": None if vocabulary is None else vocabulary.to_dict(),
        "normalisation": reading.normalisation,
        "lower_case": reading.lower_case,
        "max_length": reading.max_length,
        "white": known.white,
        "mean": known.mean,
        "deviation": known.deviation,
        "scaling": None if scaling is None else scaling.to_dict(),
    }
    return Exported(
        (graph,),
        constants,
        "classify.py",
        _judge(known, validation),
        _counts(model),
        ("vocabulary.py", "recordings.py"),
    )


def _counts(model: Classifier) -> dict[str, np.ndarray]:
    """The tables of naive Bayes: log p of each feature minus its mean over the classes, and the features' keys."""
    bayes = model.naive_bayes
    if bayes is None:
        return {}
    log_p = torch.log(bayes.counts + 1.0) - torch.log(bayes.counts.sum(0) + len(bayes.counts))
    keys = {f"keys_{n}": bayes.get_buffer(f"keys_{n}").numpy() for n in range(2, len(bayes.runs) + 2)}
    numbers = {"log_p": log_p - log_p.mean(-1, keepdim=True), "prior": bayes.prior, "scale": model.scales[1]}
    return {**{name: v.detach().numpy() for name, v in numbers.items()}, **keys}


def _judge(known: ClassifyKnown, validation: Callable[[], Part]) -> Callable[[Any], Mapping[str, float]]:
    def judge(runner: Any) -> Mapping[str, float]:
        part = validation()
        labels = known.targets_of(part)[:_JUDGED]
        if isinstance(part, Recordings):
            items = part.items[: len(labels)]
            answers = runner.classify_recordings([each.values for each in items], [each.times for each in items])
        elif isinstance(part, Images):
            answers = runner.classify_images(part.pixels[: len(labels)])
        else:
            answers = runner.classify([each.text for each in part[: len(labels)]])
        if known.number is not None:
            said = known.number.scaled(np.array([answer["number"] for answer in answers]))
            return {"mae": float(np.nanmean(np.abs(said - labels)) * known.number.deviation)}
        if known.target == "several":
            sets = sets_of([SEVERAL.join(answer["labels"]) for answer in answers], known.classes)
            return {"exact": float((sets == labels).all(1).mean())}
        right = [known.classes.index(answer["class"]) == label for answer, label in zip(answers, labels, strict=True)]
        return {"accuracy": float(np.mean(right))}

    return judge
