import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.models.forecasting.scale import Scale, fill_forward

maybe = st.one_of(st.just(float("nan")), st.integers(-9, 9).map(float))


@settings(deadline=None, max_examples=50)
@given(values=st.lists(maybe, min_size=1, max_size=8), past=st.integers(1, 8), least=st.sampled_from([0.0, 0.5, 3.0]))
def test_the_scale_is_that_counted_by_hand(values, past, least):
    past = min(past, len(values))
    scale = Scale.of(torch.tensor(values).unsqueeze(1), torch.tensor([past]), torch.tensor([least]))
    there = [value for value in values[:past] if not np.isnan(value)]
    centre = there[-1] if there else 0.0
    spread = np.mean([abs(value - np.mean(there)) for value in there]) if there else 0.0
    assert scale.centre.item() == centre
    assert scale.width.item() == pytest.approx(max(spread, least), abs=1e-6)
    z = scale.apply(torch.tensor(values).unsqueeze(1))
    assert z.isnan().squeeze(1).tolist() == [bool(np.isnan(value)) for value in values]
    if scale.width > 0:
        back = scale.invert(z.unsqueeze(-1)).flatten()
        torch.testing.assert_close(back, torch.tensor(values), equal_nan=True)
    else:
        assert (scale.invert(torch.randn(3, 1, 2)) == centre).all()


def test_a_window_that_never_changes_has_no_width_whatever_rounding_does():
    values = torch.full((7, 1), 0.1)
    assert Scale.of(values, torch.tensor([7])).width.item() == 0.0


@settings(deadline=None, max_examples=50)
@given(values=st.lists(maybe, min_size=1, max_size=8))
def test_missing_values_are_filled_by_the_last(values):
    filled, there = fill_forward(torch.tensor(values).unsqueeze(1))
    last, expected = 0.0, []
    for value in values:
        last = last if np.isnan(value) else value
        expected.append(last)
    assert filled.flatten().tolist() == expected
    assert there.flatten().tolist() == [not np.isnan(value) for value in values]
