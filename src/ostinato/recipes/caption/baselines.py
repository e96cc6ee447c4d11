"""A simple captioner to compare with: every image gets the most frequent caption of training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ostinato.data.records.captions import Captioned
from ostinato.recipes.caption.data import joined, kind_of, prepared
from ostinato.recipes.caption.judge import metrics_of_captions
from ostinato.recipes.caption.settings import CaptionReadingSettings


def baselines(
    train: Captioned, parts: Mapping[str, Captioned], reading: CaptionReadingSettings
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of the most frequent caption; of equally frequent ones, the first in the alphabet is taken.

    Args:
        train: the training data, with captions.
        parts: the parts to judge on, by name.
        reading: how captions are read.

    Returns:
        By part, then by model: the share of images with this caption, BLEU, chrF.
    """
    kind, form = kind_of([text for of_image in train.captions for text in of_image], reading), reading.normalisation

    def normal(text: str) -> str:
        return joined(prepared(text, kind, lower_case=reading.lower_case, normalisation=form), kind)

    counts = Counter(normal(text) for of_image in train.captions for text in of_image)
    usual = min(counts, key=lambda text: (-counts[text], text), default="")
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, part in parts.items():
        wanted = [[normal(text) for text in of_image] for of_image in part.captions if of_image]
        metrics = metrics_of_captions([usual] * len(wanted), wanted)
        right = sum(usual in texts for texts in wanted) / max(len(wanted), 1)
        scores = {metric: score for metric, (score, _) in metrics.items()}
        found[name] = {"most frequent caption": {"exact_match": right, **scores}}
    return found
