"""Steps that come one by one are scaled as those of the whole recording."""

import numpy as np
import pytest

from ostinato.data.recordings.online import OnlineScaling
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.recordings.scaling import Scaling


def some(seed, times, gaps):
    random = np.random.default_rng(seed)
    values = random.standard_normal((random.integers(3, 12), 3)) * [1, 1e5, 1e-3] + [0, 1e6, 5]
    if gaps:
        values[random.random(values.shape) < 0.4] = np.nan
        values[:, 2] = np.where(np.isnan(values[:, 2]), 1.0, values[:, 2])
    moments = np.cumsum(random.exponential(2.0, len(values))) + 0.1
    return Recording(str(seed), values, "a", times=moments - moments[0] if times else None)


@pytest.mark.parametrize("extras", [None, {"mask": "I", "dt": "I"}, {"dt": "1"}, {"t": "1"}])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("times", [False, True])
@pytest.mark.parametrize("stack", [1, 3])
def test_step_by_step_is_as_the_whole(extras, gaps, times, stack):
    if extras and stack > 1:
        stack = 1
    recordings = [some(seed, times, gaps) for seed in range(6)]
    scaling = Scaling.of(Recordings(("a", "b", "c"), tuple(recordings)), stack, extras)
    online = OnlineScaling(Scaling.from_dict(scaling.to_dict()))
    state = online.fresh(len(recordings))
    # All at once, in turns.
    for step in range(max(map(len, recordings))):
        for row, each in enumerate(recordings):
            if step >= len(each):
                continue
            time = None if each.times is None else float(each.times[step]) + 100.0  # when they began does not matter
            numbers, is_whole = online.go_on(state, row, each.values[step], time)
            so_far = Recording(
                "", each.values[: step + 1], times=None if each.times is None else each.times[: step + 1]
            )
            np.testing.assert_allclose(numbers, scaling.apply(so_far)[-1], rtol=1e-5, atol=1e-5)
            assert is_whole == ((step + 1) % stack == 0)


def test_the_extras_of_gru_d_are_those_of_the_paper():
    """Che et al. 2018, section 2.2, an example with two channels."""
    values = np.array([[47, np.nan], [49, 15], [np.nan, 14], [40, np.nan], [np.nan, np.nan], [43, np.nan], [55, 15]])
    times = np.array([0, 0.1, 0.6, 1.6, 2.2, 2.5, 3.1])
    scaling = Scaling.of(Recordings(("a", "b"), (Recording("", values, times=times),)), None, {"mask": "I", "dt": "I"})
    told = scaling.apply(Recording("", values, times=times))
    np.testing.assert_allclose(told[:, 2:4].T, [[1, 1, 0, 1, 0, 1, 1], [0, 1, 1, 0, 0, 0, 1]])
    # Of the first channel those of the paper's figure 2; of the second by its equation (3).
    usual = np.median(np.diff(times))
    np.testing.assert_allclose(told[:, 4] * usual, [0, 0.1, 0.5, 1.5, 0.6, 0.9, 0.6], atol=1e-6)
    np.testing.assert_allclose(told[:, 5] * usual, [0, 0.1, 0.5, 1.0, 1.6, 1.9, 2.5], atol=1e-6)
