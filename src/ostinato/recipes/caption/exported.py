"""A captioner as graphs: the encoder of an image, and a step of the decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ostinato.data.records.captions import Captioned
from ostinato.exporting.graph import Port
from ostinato.exporting.layers import drawn
from ostinato.models.writing.captioner import Captioner
from ostinato.recipes.caption.data import CaptionKnown
from ostinato.recipes.caption.settings import CaptionAnswering
from ostinato.recipes.exporting.exported import Exported
from ostinato.recipes.exporting.written_graphs import graphs_of
from ostinato.types import Tensor

_JUDGED = 200


def exported(model: Captioner, known: CaptionKnown, validation: Callable[[], Captioned]) -> Exported:
    """Both graphs, the vocabulary, and how a runner makes the encoder's input of pixels."""
    shape = known.shape
    images = Port("images", ("B", *shape), "pixels, (value / white - mean) / deviation")

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
        return [drawn(images.axes, sizes, generator)]

    places = model.encoder.places[0] * model.encoder.places[1]
    size = len(known.marked)
    graphs = graphs_of(model, [images], draw, places, has_lengths=False, size=size)
    unknown = known.vocabulary.unknown_id
    constants = {
        "reads": "images",
        "shape": list(shape),
        "mean": known.mean,
        "deviation": known.deviation,
        "vocabulary": known.vocabulary.to_dict(),
        "begin": known.marked.begin,
        "end": known.marked.end,
        "forbidden": sorted({known.marked.begin, *([] if unknown is None else [unknown])}),
        "max_length": 2 * known.longest + 10,
        "beam": CaptionAnswering.beam,
        "length_penalty": CaptionAnswering.length_penalty,
    }

    def judge(runner: Any) -> Mapping[str, float]:
        part = validation()
        count = min(_JUDGED, len(part))
        images = part.images.rows(np.arange(count)).reshape(count, *part.images.pixels.shape[1:])
        right = [
            runner.caption(image)["text"] in {known.normal(text) for text in texts}
            for image, texts in zip(images, part.captions[:count], strict=True)
        ]
        return {"exact_match": float(np.mean(right))}

    return Exported(graphs, constants, "write.py", judge, beside=("vocabulary.py",))
