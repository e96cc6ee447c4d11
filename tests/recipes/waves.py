"""A small table of series that anything can learn, and settings for a small forecaster."""

import dataclasses

import numpy as np

from ostinato.recipes.forecast.settings import (
    ForecasterSettings,
    ForecastReadingSettings,
    ForecastSettings,
    UpdateSettings,
)

START = np.datetime64("2024-01-01T00:00", "s")


def rows(steps=160, ids=("a", "b"), gaps=0.0, seed=0):
    """Waves of 8 steps, a price that moves them, and what was measured beside them; hour by hour."""
    draw, found = np.random.default_rng(seed), []
    for number, name in enumerate(ids):
        for t in range(steps):
            price = draw.integers(0, 2)
            value = (number + 1) * (10 * np.sin(2 * np.pi * t / 8) + 20 + 2 * price + 0.3 * draw.normal())
            cell = "" if draw.random() < gaps else f"{value:.4f}"
            found.append((name, str(START + np.timedelta64(t, "h")), cell, price, f"{draw.normal():.3f}"))
    return found


def write(path, found):
    path.write_text("id,time,sold,price,weather\n" + "".join(",".join(map(str, row)) + "\n" for row in found))
    return str(path)


READING = ForecastReadingSettings(
    values=["sold"], known=["price"], observed=["weather"], season=8, horizon=4, context=24
)


def small(folder, data, **changes):
    settings = ForecastSettings(
        data=data,
        run=str(folder),
        device="cpu",
        precision="32-true",
        quiet=True,
        reading=READING,
        model=ForecasterSettings(hidden_size=12, dropout=0.0),
        training=UpdateSettings(batch_size=16, learning_rate=0.02, max_steps=240, evaluate_every=80),
    )
    return dataclasses.replace(settings, **changes)
