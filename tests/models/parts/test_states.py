import torch

from ostinato.models.parts.states import map_state, replace_rows


def test_a_state_is_mapped_at_every_depth():
    state = (torch.ones(1, 2, 3), [torch.ones(1, 2, 4), torch.ones(1, 2, 5)])
    zeros = map_state(torch.zeros_like, state)
    assert isinstance(zeros, tuple)
    assert isinstance(zeros[1], list)
    assert [v.shape for v in (zeros[0], *zeros[1])] == [(1, 2, 3), (1, 2, 4), (1, 2, 5)]
    assert not any(v.any() for v in (zeros[0], *zeros[1]))
    assert map_state(torch.zeros_like, None) is None


def test_the_rows_that_begin_are_fresh_and_the_others_stay():
    state = ([torch.ones(2, 3, 4)], torch.ones(2, 3, 5))
    fresh = map_state(lambda v: v * 7, state)
    (h,), c = replace_rows(state, fresh, torch.tensor([False, True, False]))
    for v in (h, c):
        assert torch.equal(v[:, 1], torch.full_like(v[:, 1], 7.0))
        assert torch.equal(v[:, ::2], torch.ones_like(v[:, ::2]))
