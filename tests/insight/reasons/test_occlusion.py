import dataclasses

import numpy as np
import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.insight import attribute, deletion
from ostinato.insight.reasons.occlusion import occlusion
from ostinato.insight.reasons.question import Reasons
from tests.insight.reasons.questions import of_numbers


def weighed(x):
    return (torch.arange(1.0, len(x) + 1)[:, None] * x[..., 0]).sum(0) - 2 * x[..., 1].sum(0)


VALUES = np.stack([np.ones(6), np.arange(6.0)], 1)


def test_what_changes_without_it():
    found = occlusion(of_numbers(weighed, VALUES, channels=("a", "b")))
    np.testing.assert_allclose(found.values, np.stack([np.arange(1, 7), -2 * np.arange(6)], 1), atol=1e-5)
    assert found.by_channel == pytest.approx({"a": 21.0, "b": -30.0})
    assert found.strongest(2) == [(5, "5", pytest.approx(-4.0)), (4, "4", pytest.approx(-3.0))]


def test_neighbours_share_where_runs_are_few():
    found = occlusion(of_numbers(weighed, VALUES, channels=("a", "b")), most_runs=6)
    np.testing.assert_allclose(found.values[:, 0], [1.5, 1.5, 3.5, 3.5, 5.5, 5.5], atol=1e-5)


def test_columns_of_one_step_and_padding():
    """Two steps are read at once, and what is behind the end belongs to none."""
    cells = np.array([[0, 1], [2, -1]])
    q = of_numbers(lambda x: x.sum((0, 2)), [[1.0, 2.0], [3.0, 4.0]])
    q = dataclasses.replace(q, steps=("0", "1", "2"), cells=cells)
    np.testing.assert_allclose(occlusion(q).by_step, [1.0, 2.0, 3.0], atol=1e-6)
    np.testing.assert_allclose(attribute(q).by_step, [1.0, 2.0, 3.0], atol=1e-6)


def test_deletion_takes_the_named_away_first():
    q = of_numbers(weighed, VALUES, channels=("a", "b"))
    reasons = attribute(q, "occlusion")
    found = deletion([(q, reasons)], shares=(0.1, 0.25, 0.5), draws=400)
    assert found.named == pytest.approx((6 + 5, 6 + 5 + 4, 6 + 5 + 4 + 3 + 2 + 1))  # 2, 3 and 6 of 12
    assert found.at_random == pytest.approx([-9 * k / 12 for k in (2, 3, 6)], abs=0.6)  # all together are worth -9
    assert found.is_faithful
    assert found.to_dict()["better_than_random_at_every_share"]
    assert str(found).splitlines()[2].split() == ["10%", "+11.000", f"{found.at_random[0]:+.3f}"]


def test_reasons_that_are_made_up_do_not_pass():
    q = of_numbers(weighed, VALUES, channels=("a", "b"))
    upside_down = -attribute(q, "occlusion").values
    made_up = Reasons.of(q, "gradients", 0.0, 0.0, upside_down)
    assert not deletion([(q, made_up)]).is_faithful


def test_what_is_wrong_is_told():
    q = of_numbers(weighed, VALUES, channels=("a", "b"))
    with pytest.raises(ConfigError, match="expected one of gradients, occlusion, gates"):
        attribute(q, "gradient")
    with pytest.raises(ConfigError, match="shares: expected numbers above 0 and below 1"):
        deletion([], shares=(1.0,))
    with pytest.raises(ConfigError, match="expected at least one example"):
        deletion([])
