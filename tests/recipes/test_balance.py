import numpy as np

from ostinato.recipes.balance import balanced


def test_balanced_classes_all_count_the_same():
    weights = balanced([30, 10, 60])
    assert np.allclose(np.multiply(weights, [30, 10, 60]), 100 / 3)


def test_a_class_without_examples_has_a_weight():
    assert np.isfinite(balanced([3, 0])).all()
