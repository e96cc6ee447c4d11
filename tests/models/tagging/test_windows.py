import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.models.tagging import windows as tagger_windows
from ostinato.models.tagging.windows import in_windows


def reach(x, lengths):
    """For each step, how many steps it sees before it and behind it."""
    steps = torch.arange(len(x)).unsqueeze(1)
    before, behind = steps.expand(len(x), len(lengths)), lengths - 1 - steps
    return torch.stack((before, behind), dim=2).double()


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=4), window=st.integers(4, 20))
def test_every_step_sees_a_quarter_of_a_window_or_the_end_of_its_row(lengths, window):
    T = max(1, *lengths)
    given_lengths = torch.tensor(lengths)
    found = in_windows(reach, torch.zeros(T, len(lengths), 1), given_lengths, window)
    assert found.shape == (T, len(lengths), 2)
    for row, length in enumerate(lengths):
        assert torch.all(found[length:, row] == 0)
        for step in range(length):
            before, behind = found[step, row].tolist()
            whole = length <= window
            assert before >= (step if whole else min(step, window // 4))
            assert behind >= (length - 1 - step if whole else min(length - 1 - step, window // 4))
            assert before + behind + 1 <= window


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=4), window=st.integers(4, 12), seed=st.integers(0, 9))
def test_what_looks_at_one_step_only_is_what_it_is_without_windows(lengths, window, seed):
    T = max(1, *lengths)
    x = torch.randn(T, len(lengths), 3, generator=torch.Generator().manual_seed(seed))
    found = in_windows(lambda v, _: v * 2.0, x, torch.tensor(lengths), window)
    for row, length in enumerate(lengths):
        assert torch.equal(found[:length, row], 2.0 * x[:length, row])


def test_without_lengths_all_steps_are_there():
    x = torch.randn(40, 2, 3)
    full = torch.tensor([40, 40])
    assert torch.equal(in_windows(reach, x, None, 8), in_windows(reach, x, full, 8))


@pytest.mark.parametrize("rows", [1, 7])
def test_what_is_done_at_once_does_not_grow_with_the_sequence(rows, monkeypatch):
    monkeypatch.setattr(tagger_windows, "_STEPS_AT_ONCE", 64)
    sizes = []

    def function(x, lengths):
        sizes.append(x.shape[0] * x.shape[1])
        return x

    in_windows(function, torch.zeros(2000, rows, 1), None, 16)
    assert max(sizes) <= 64
