"""`python -m benchmarks.classify --train F --validation F --test F`: the defaults of `ostinato train classify` beside counting.

Each seed is a run of its own with the settings as they come. Printed are accuracy, loss and calibration error on the test data: of
the model of each seed and, trained on the same data, of naive Bayes (texts) or the nearest recording, and of the usual class. The
loss is in nats an example; chance is the logarithm of the number of classes.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ostinato.recipes import train
from ostinato.recipes.classify.settings import ClassifyReadingSettings, ClassifySettings


def cells(figures: Mapping[str, float]) -> list[str]:
    """Of a row of the table."""
    loss, error = figures.get("loss"), figures.get("calibration_error")  # the nearest recording has no probabilities
    return [
        f"{figures['accuracy']:.2%}",
        "" if loss is None else f"{loss:.4f}",
        "" if error is None else f"{error:.2%}",
    ]


def rows(settings: ClassifySettings, seeds: int, folder: Path) -> list[list[str]]:
    """Trains `seeds` models, and judges them and the simple models on the test data."""
    found, simple = [], []
    for seed in range(seeds):
        began = time.perf_counter()
        result: Any = train(dataclasses.replace(settings, seed=seed, run=str(folder / f"seed-{seed}"), quiet=True))
        seconds = time.perf_counter() - began
        scores = result.scores["test"]
        counters = result.outcome.counters
        steps = f"{counters.step:,}, best at {counters.best_step:,}"
        found.append([f"seed {seed}", *cells({**scores.figures, "loss": scores.loss}), f"{seconds:.0f}", steps])
        simple = [[name, *cells(figures), "", ""] for name, figures in scores.baselines.items()]
    return found + simple


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--train", required=True, help="a table of texts and labels, or whatever `ostinato train classify --data` reads"
    )
    parser.add_argument("--validation", help="a table of its own; without it, a share of the training data")
    parser.add_argument("--test", help="likewise")
    parser.add_argument("--text", help="the column of texts, as `--reading.text`")
    parser.add_argument("--label", help="the column of labels, as `--reading.label`")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs")
    parser.add_argument("--max_time_s", type=float, help="of each run; without it, the default budget")
    parser.add_argument("--max_epochs", type=float, help="likewise, for machines that are slow or busy")
    given = parser.parse_args()
    reading = ClassifyReadingSettings(validation=given.validation, test=given.test, text=given.text, label=given.label)
    settings = ClassifySettings(data=given.train, reading=reading)
    budget = {"max_time_s": given.max_time_s, "max_epochs": given.max_epochs}
    settings = dataclasses.replace(settings, training=dataclasses.replace(settings.training, **budget))
    table = Table(
        "",
        "accuracy",
        "nats/example",
        "calibration error",
        "seconds",
        "steps",
        title=f"test data of {given.test or given.train}",
    )
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(settings, given.seeds, Path(folder)):
            table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
