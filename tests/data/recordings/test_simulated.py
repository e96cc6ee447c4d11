import hashlib
from itertools import pairwise

import numpy as np
import pytest

from ostinato.data.recordings.simulated import (
    CHANNELS,
    GESTURES_BAYES_ERROR,
    MOVEMENTS,
    gestures,
    gestures_in_a_row,
    simulate_gestures,
    simulate_rows,
)
from tests.data.recordings.kalman import GESTURES, errors, log_likelihoods, model


def parts(splits):
    return splits.train, splits.validation, splits.test


def checksum(splits):
    """Of all names, labels and numbers as the sensor counts them."""
    found = hashlib.sha256()
    for part in parts(splits):
        for each in part.items:
            found.update(f"{each.id}, {each.group}, {each.label}, {each.labels}".encode())
            counted = np.rint(each.values.astype(np.float64) * [c.resolution for c in CHANNELS])
            found.update(np.nan_to_num(counted, nan=-(2.0**40)).astype("<i8").tobytes())
    return found.hexdigest()[:16]


@pytest.mark.parametrize(
    ("made", "expected"),
    [(gestures, "1de2c00d0556d30b"), (gestures_in_a_row, "990d3450e00f31ef")],
    ids=["gestures", "gestures in a row"],
)
def test_the_data_is_the_same_everywhere(made, expected):
    assert checksum(made()) == expected


@pytest.mark.parametrize(("made", "sizes"), [(gestures, [1200, 200, 400]), (gestures_in_a_row, [300, 50, 100])])
def test_a_person_is_in_one_part(made, sizes):
    splits = made()
    assert [len(part) for part in parts(splits)] == sizes
    people = [{each.group for each in part.items} for part in parts(splits)]
    assert [len(each) for each in people] == [30, 5, 10]
    assert len(set.union(*people)) == 45
    ids = [each.id for part in parts(splits) for each in part.items]
    assert len(set(ids)) == len(ids)


def test_channels_have_very_different_units():
    recordings = gestures().train
    assert recordings.channels == ("acceleration_x", "acceleration_z", "angular_rate", "pressure")
    values = np.concatenate([each.values for each in recordings.items]).astype(np.float64)
    assert values.shape[1] == 4
    np.testing.assert_allclose(np.nanmean(values, 0), [0, 1, 0, 101_325], atol=3)
    np.testing.assert_allclose(np.nanstd(values, 0), [0.32, 0.33, 63, 4], rtol=0.1)
    assert 0.02 < np.isnan(values).mean() < 0.04
    assert all(each.values.dtype == np.float32 for each in recordings.items)
    assert all(np.isfinite(each.values).any(0).all() for each in recordings.items)


def test_each_recording_is_one_gesture():
    items = gestures().train.items
    assert {len(each) for each in items} == set(range(40, 121))
    labels = [each.label for each in items]
    assert set(labels) == {"shake", "wave", "turn", "raise", "lower"}
    assert all(abs(labels.count(name) - 240) < 60 for name in set(labels))
    assert all(each.labels is None for each in items)


def runs(labels):
    """Labels and how many steps they last."""
    ends = [at for at in range(1, len(labels)) if labels[at] != labels[at - 1]]
    bounds = [0, *ends, len(labels)]
    return [(labels[a], b - a) for a, b in pairwise(bounds)]


def test_gestures_in_a_row_have_rest_around_them():
    names = {movement.name for movement in GESTURES}
    counts = set()
    for each in gestures_in_a_row().train.items:
        assert each.label is None
        assert len(each.labels) == len(each)
        found = runs(each.labels)
        counts.add(len(found) // 2)
        assert all(name == "rest" and 10 <= steps <= 30 for name, steps in found[::2])
        assert all(name in names and 25 <= steps <= 60 for name, steps in found[1::2])
        assert found[-1][0] == "rest"
    assert counts == {3, 4, 5}


def test_a_hand_at_rest_is_quiet():
    moving, quiet = [], []
    for each in simulate_rows(10, 5, seed=5).items:
        rate = np.abs(each.values[:, 2] - np.nanmedian(each.values[:, 2]))
        is_rest = np.array([label == "rest" for label in each.labels])
        moving.append(np.nanmean(rate[~is_rest]))
        quiet.append(np.nanmean(rate[is_rest]))
    assert np.mean(moving) > 1.5 * np.mean(quiet)


def dense(movement, steps):
    """Mean and covariance of `steps` steps at once, and what the filter never forms: every pair of steps."""
    given = model(movement)
    F, H, C = given["F"], given["H"], len(CHANNELS)
    mean, cov = given["m"], given["P"]
    means, covs = np.empty((steps, C)), np.empty((steps, C, steps, C))
    for t in range(steps):
        means[t] = given["c"] + H @ mean
        later = cov
        for s in range(t, steps):
            covs[s, :, t] = H @ later @ H.T
            covs[t, :, s] = covs[s, :, t].T
            later = F @ later
        covs[t, :, t] += np.diag(given["R"])
        mean, cov = F @ mean, F @ cov @ F.T + given["Q"]
    return means, covs


def test_the_likelihood_is_that_of_one_normal_vector_and_recordings_are_drawn_from_it():
    recordings = simulate_gestures(60, 1, seed=3)
    found = log_likelihoods(recordings)
    squares, numbers = 0.0, 0
    for at, movement in enumerate(GESTURES):
        means, covs = dense(movement, 120)
        for n, each in enumerate(recordings.items):
            T, seen = len(each), ~np.isnan(each.values)
            error = (each.values - means[:T])[seen]
            root = np.linalg.cholesky(covs[:T, :, :T][seen][:, seen])
            white = np.linalg.solve(root, error)
            density = -0.5 * white @ white - np.log(np.diag(root)).sum() - 0.5 * len(white) * np.log(2 * np.pi)
            assert found[n, at] == pytest.approx(density, rel=1e-7)
            if each.label == movement.name:
                squares, numbers = squares + white @ white, numbers + len(white)
    # Under the true gesture the sum of squares is chi-squared: a simulator that departs from the model departs from that.
    assert abs(squares - numbers) < 4 * (2 * numbers) ** 0.5


def test_the_bayes_error_is_what_is_said():
    recordings = gestures().test
    wrong = errors(recordings)
    by_chance = (GESTURES_BAYES_ERROR * (1 - GESTURES_BAYES_ERROR) / len(wrong)) ** 0.5
    assert abs(wrong.mean() - GESTURES_BAYES_ERROR) < 2 * by_chance
    # How sure the exact posterior is says the same, with less noise.
    found = log_likelihoods(recordings)
    posterior = np.exp(found - found.max(1, keepdims=True))
    doubt = 1 - (posterior / posterior.sum(1, keepdims=True)).max(1)
    assert abs(doubt.mean() - GESTURES_BAYES_ERROR) < 4 * doubt.std() / len(doubt) ** 0.5


def test_rest_is_the_last_movement():
    assert [movement.name for movement in MOVEMENTS if movement.push is None] == ["rest"] == [MOVEMENTS[-1].name]
