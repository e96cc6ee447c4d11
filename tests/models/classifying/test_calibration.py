import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional as F

from ostinato.models.classifying.calibration import best_scales


def drawn(models, count=200, classes=3, sure=1.0):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(models, count, classes, generator=generator)
    target = torch.multinomial((sure * logits.sum(0)).softmax(-1), 1, generator=generator)[:, 0]
    return logits, target


@pytest.mark.parametrize("models", [1, 2])
def test_the_scales_are_those_of_another_optimiser(models):
    logits, target = drawn(models)

    def cost(log_scale):
        combined = torch.einsum("k,knc->nc", torch.tensor(log_scale).exp(), logits.double())
        prior = ((torch.tensor(log_scale) + torch.tensor(float(models)).log()) ** 2).sum() / 2
        return float(F.cross_entropy(combined, target, reduction="sum") + prior)

    expected = minimize(cost, [0.0] * models, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    torch.testing.assert_close(best_scales(logits, target).log(), torch.tensor(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize("sure", [0.3, 1.0, 3.0])
def test_how_sure_the_answers_are_is_found_again(sure):
    logits, target = drawn(1, count=20_000, sure=sure)
    assert float(best_scales(logits, target)) == pytest.approx(sure, rel=0.05)


def test_few_examples_that_are_all_right_do_not_make_it_certain():
    logits = torch.eye(3)[None]
    assert 1.0 < float(best_scales(logits, torch.arange(3))) < 10.0


def test_no_example_and_labels_that_are_no_class_say_nothing():
    logits, target = drawn(2)
    assert best_scales(logits[:, :0], target[:0]).tolist() == pytest.approx([0.5, 0.5])
    strange = torch.cat([target, torch.tensor([-1, 3])])
    more = torch.cat([logits, torch.randn(2, 2, 3)], 1)
    torch.testing.assert_close(best_scales(more, strange), best_scales(logits, target))


def test_what_is_infinite_or_not_a_number_leaves_the_scales_finite():
    logits, target = drawn(1)
    logits[0, 0, 0] = torch.nan
    assert best_scales(logits, target).isfinite().all()
