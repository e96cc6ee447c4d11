import math

import pytest
import torch
from torch import nn

from ostinato.insight import Finding, doctor

from .patients import Classifier, H, I, lines, row_loss, rows


def found(history: list[dict[str, float]], clip_norm: float | None = None) -> list[Finding]:
    torch.manual_seed(0)
    # No layer's findings depend on the history, but for the loss at the level of guessing, which counts steps.
    young = [line | {"step": 1} for line in history]
    return doctor(Classifier(nn.GRU(I, H)), rows(), row_loss, history=young, clip_norm=clip_norm).findings


def test_clipping_in_98_per_cent_of_the_steps() -> None:
    norms = [0.5, *(2.0 + 0.01 * n for n in range(49))]
    (one,) = found(lines(gradient_norm=norms), clip_norm=1.0)
    assert one.name == "clipping in nearly every step"
    assert one.numbers["share"].value == pytest.approx(0.98)
    assert one.numbers["median_norm"].value == pytest.approx(2.235)
    assert "98%" in one.evidence
    assert "clip_norm to about 5" in one.remedy


def test_clipping_now_and_then() -> None:
    assert found(lines(gradient_norm=[0.5, 2.0] * 25), clip_norm=1.0) == []
    assert found(lines(gradient_norm=[2.0] * 50)) == []
    assert found(lines(gradient_norm=[2.0] * 10), clip_norm=1.0) == []  # too few lines to tell


def test_a_loss_that_comes_back_up() -> None:
    (one,) = found(lines(loss=[4 - 0.1 * n for n in range(20)] + [2.1 + 0.1 * n for n in range(20)]))
    assert one.name == "training loss rises again"
    assert one.numbers["last"].value > 3.5 > 2.5 > one.numbers["best"].value


def test_a_loss_that_falls_in_noise() -> None:
    assert found(lines(loss=[1.2 + 3 / (n + 1) + 0.05 * (-1) ** n for n in range(60)])) == []
    assert found(lines(loss=[1.0] * 60)) == []
    assert found(lines(loss=[math.nan, *([1.0] * 40)])) == []


def test_validation_that_gets_worse_while_training_gets_better() -> None:
    training = [2.0 - 0.03 * n for n in range(40)]
    validation = [2.0, 1.7, 1.5, 1.4, 1.5, 1.6, 1.7, 1.8]
    history = lines(loss=training) + lines(validation_loss=validation)
    (one,) = found(history)
    assert one.name == "overfitting"
    assert one.numbers["best"].value == 1.4
    assert one.numbers["last"].value == 1.7
    assert "4 of 8" in one.evidence


def test_validation_that_gets_worse_once() -> None:
    training = [2.0 - 0.03 * n for n in range(40)]
    assert found(lines(loss=training) + lines(validation_loss=[2.0, 1.7, 1.5, 1.4, 1.39, 1.6])) == []
    assert found(lines(loss=training) + lines(validation_loss=[2.0, 1.7, 1.5, 1.4, 1.41, 1.42])) == []


def test_losses_below_zero_as_those_of_a_density() -> None:
    training = [1.0 - 0.1 * n for n in range(40)]
    assert found(lines(loss=training) + lines(validation_loss=[1.0, -1.0, -2.0, -2.5, -2.6])) == []
    assert found(lines(loss=training) + lines(validation_loss=[1.0, -1.0, -2.6, -2.5, -2.55])) == []
    (one,) = found(lines(loss=training) + lines(validation_loss=[1.0, -1.0, -2.6, -2.0, -1.5]))
    assert one.name == "overfitting"
