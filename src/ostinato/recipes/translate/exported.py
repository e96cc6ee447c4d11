"""A translator as graphs: the encoder of a text, and a step of the decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ostinato.data.records.pairs import Pairs
from ostinato.models.writing.seq2seq import Seq2Seq
from ostinato.recipes.exporting.exported import ROW_LENGTHS, Exported, drawn_lengths, drawn_tokens, tokens_port
from ostinato.recipes.exporting.written_graphs import graphs_of
from ostinato.recipes.translate.data import JOINER, TranslateKnown, never_written
from ostinato.recipes.translate.settings import Answering, TranslateReadingSettings
from ostinato.types import Tensor

_JUDGED = 200


def exported(
    model: Seq2Seq, known: TranslateKnown, reading: TranslateReadingSettings, validation: Callable[[], Pairs]
) -> Exported:
    """Both graphs, the vocabularies, and how a runner makes the encoder's input of texts."""
    source, target = known.source.vocabulary, known.target

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
        tokens = drawn_tokens(("T", "B"), len(known.source), sizes, generator)
        return [tokens, drawn_lengths(sizes, generator, least=1)]

    inputs = [tokens_port("tokens", ("T", "B"), len(known.source)), ROW_LENGTHS]
    graphs = graphs_of(model, inputs, draw, "T", has_lengths=True, size=len(target))
    constants = {
        "reads": "text",
        "source": source.to_dict(),
        "vocabulary": target.vocabulary.to_dict(),
        "begin": target.begin,
        "end": target.end,
        "unknown": target.unknown_id,
        "forbidden": sorted({target.begin, *never_written(target)}),
        "normalisation": reading.normalisation,
        "lower_case": reading.lower_case,
        "joiner": JOINER,
        "max_length": None,
        "beam": Answering.beam,
        "length_penalty": Answering.length_penalty,
    }

    def judge(runner: Any) -> Mapping[str, float]:
        pairs = validation().pairs[:_JUDGED]
        return {"exact_match": float(np.mean([runner.translate(each.source)["text"] == each.target for each in pairs]))}

    return Exported(graphs, constants, "write.py", judge, beside=("vocabulary.py",))
