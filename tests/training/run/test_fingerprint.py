import numpy as np
import pytest

from ostinato.training.run import fingerprint as module
from ostinato.training.run.fingerprint import fingerprint


@pytest.fixture(params=["whole", "sampled"])
def ids(request, monkeypatch):
    if request.param == "sampled":
        monkeypatch.setattr(module, "_WHOLE_BYTES", 0)
    return np.random.default_rng(0).integers(0, 200, 50_000).astype(np.uint8)


def test_it_is_of_the_values_not_of_their_type(ids):
    assert fingerprint(ids) == fingerprint(ids.copy())
    assert fingerprint(ids) == fingerprint(ids.astype(np.uint16))


@pytest.mark.parametrize("place", [0, 25_000, -1])
def test_another_text_has_another(ids, place):
    other = ids.copy()
    other[place] ^= 1
    assert fingerprint(other) != fingerprint(ids)
    assert fingerprint(ids[:-1]) != fingerprint(ids)
    assert fingerprint(ids[:0]) != fingerprint(ids)
