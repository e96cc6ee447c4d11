import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.insight.layers import InsightError
from ostinato.insight.text_labels import Label
from ostinato.insight.unit_values import Activations, LayerValues
from ostinato.insight.units import correlations, meaningful_units

T, H = 2000, 12


def label(name, values, **others):
    return Label(name, name, np.asarray(values, dtype=np.float32), **others)


def made(**planted):
    """Noise, with the given columns in the place of some units: name_unit=values."""
    generator = np.random.default_rng(0)
    series = {name: generator.normal(size=(T, H)).astype(np.float32) for name in ("h", "c")}
    for where, values in planted.items():
        name, unit = where.split("_")
        series[name][:, int(unit)] = values
    return Activations(["x"] * T, [LayerValues("layer 1", series)])


def test_the_planted_unit_is_found_and_said():
    generator = np.random.default_rng(1)
    truth = (np.arange(T) // 50 % 2).astype(float)
    depth = np.arange(T) // 20 % 4
    read = made(c_7=truth + 0.2 * generator.normal(size=T), h_3=-depth + 0.5 * generator.normal(size=T))
    first, second = meaningful_units(
        read, [label("depth", depth, is_binary=False, unit="brackets"), label("inside strings", truth)]
    )
    assert (first.layer, first.state, first.unit) == ("layer 1", "c", 7)
    assert (second.layer, second.state, second.unit) == ("layer 1", "h", 3)
    half = T // 2
    assert first.r == pytest.approx(np.corrcoef(truth[half:], read.unit("layer 1", "c", 7)[half:])[0, 1])
    assert first.r_chosen == pytest.approx(np.corrcoef(truth[:half], read.unit("layer 1", "c", 7)[:half])[0, 1])
    assert first.sentence == f"layer 1 unit 7 (c) is on inside strings, r = {first.r:.2f}"
    assert second.sentence == f"layer 1 unit 3 (h) falls with depth, r = {second.r:.2f}"
    assert first.to_dict()["sentence"] == first.sentence


def test_r_is_that_of_the_half_that_did_not_choose():
    """A unit that follows the label in the first half only is chosen, and told to be worth nothing."""
    generator = np.random.default_rng(2)
    truth = (generator.random(T) < 0.5).astype(float)
    lucky = truth.copy()
    lucky[T // 2 :] = generator.random(T // 2)
    (unit,) = meaningful_units(made(h_5=lucky), [label("luck", truth)])
    assert unit.unit == 5
    assert unit.r_chosen == pytest.approx(1.0)
    assert abs(unit.r) < 0.1
    assert unit.steps == T // 2


def test_labels_that_hardly_vary_in_a_half_are_left_out():
    rare = np.zeros(T)
    rare[: T // 2 : 10] = 1
    assert meaningful_units(made(), [label("only at first", rare), label("never", np.zeros(T))]) == []


def test_a_step_has_the_label_of_its_last_character():
    pieces = ["ab", "", "c"] * 700
    places = Activations(pieces, []).last_characters
    values = np.random.default_rng(3).random(len("".join(pieces))) < 0.5
    read = Activations(pieces, [LayerValues("layer 1", {"h": values[places, None].astype(np.float32)})])
    (unit,) = meaningful_units(read, [label("label", values)])
    assert unit.r == pytest.approx(1.0)


def test_labels_of_another_text_are_refused():
    with pytest.raises(InsightError, match="label other: expected a value for each of the 2000 characters, got 3"):
        meaningful_units(made(), [label("other", [0, 1, 0])])


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 300))
def test_correlations_are_numpys(seed, steps, width):
    generator = np.random.default_rng(seed)
    rows, columns = generator.normal(size=(3, steps)), generator.normal(3.0, 2.0, size=(steps, width))
    expected = np.corrcoef(rows, columns.T)[:3, 3:]
    np.testing.assert_allclose(correlations(rows, columns), expected, atol=1e-9)


def test_what_does_not_vary_has_no_correlation():
    columns = np.stack([np.full(50, 0.1), np.arange(50.0)], 1).astype(np.float32)
    assert correlations(np.stack([np.arange(50.0), np.ones(50)]), columns).tolist() == [
        [0.0, pytest.approx(1.0)],
        [0.0, 0.0],
    ]
