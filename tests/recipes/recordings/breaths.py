"""A table of recordings that anything can learn: whether the air is breathed in or out; and settings for small models.

The pressure rises by some 30 Pascal of 101,325, or falls; an accelerometer beside it knows nothing.
"""

import dataclasses

import numpy as np

from ostinato.recipes.classify.settings import ClassifierSettings, ClassifySettings
from ostinato.recipes.tag.settings import TaggerSettings, TagSettings
from ostinato.training.run.settings import UpdateSettings

COLUMNS = ("trial", "time", "acc", "pressure", "label")


def breaths(count=40, *, seed=0, gaps=0.0, uneven=False, names=("in", "out"), turns=False):
    """Rows (trial, time, acc, pressure, label) of recordings of 8 to 20 steps.

    Args:
        count: Recordings.
        seed: Others draw others.
        gaps: Share of the values that are missing.
        uneven: Whether steps are not as far from each other.
        names: Of the labels.
        turns: Whether each recording has both, one after the other.
    """
    draw = np.random.default_rng(seed)
    rows = []
    for at in range(count):
        steps = int(draw.integers(8, 21))
        kinds = [at % 2] * steps
        if turns:
            steps *= 2
            kinds = [at % 2] * (steps // 2) + [1 - at % 2] * (steps // 2)
        between = draw.uniform(0.2, 1.8, steps) if uneven else np.full(steps, 0.5)
        rising = np.cumsum([(1 - 2 * kind) * 3.0 for kind in kinds])
        pressure = 101_325 + draw.normal(0, 8) + rising + draw.normal(0, 0.5, steps)
        for time, acc, value, kind in zip(np.cumsum(between), draw.normal(size=steps), pressure, kinds, strict=True):
            cells = [None if draw.random() < gaps else round(float(each), 3) for each in (acc, value)]
            rows.append((f"b{at}", round(float(time), 4), *cells, names[kind]))
    return rows


def write(path, rows, columns=COLUMNS, order=None):
    """A table of these rows, its columns in another order where one is given."""
    order = order or columns
    lines = [",".join(order)]
    for row in rows:
        named = dict(zip(columns, row, strict=True))
        lines.append(",".join("" if named[name] is None else str(named[name]) for name in order))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


FEW = UpdateSettings(batch_size=8, learning_rate=0.05, max_steps=30, evaluate_every=15)


def small(folder, data, **changes):
    settings = ClassifySettings(
        data=data,
        run=str(folder),
        device="cpu",
        precision="32-true",
        quiet=True,
        model=ClassifierSettings(hidden_size=8, dropout=0.0),
        training=FEW,
    )
    return dataclasses.replace(settings, **changes)


def small_tagger(folder, data, **changes):
    settings = TagSettings(
        data=data,
        run=str(folder),
        device="cpu",
        precision="32-true",
        quiet=True,
        model=TaggerSettings(hidden_size=8, num_layers=1, dropout=0.0, input_dropout=0.0),
        training=FEW,
    )
    return dataclasses.replace(settings, **changes)
