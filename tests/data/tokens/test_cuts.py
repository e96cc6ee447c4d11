import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data.tokens import cuts
from ostinato.data.tokens.cuts import CutPlaces, cut


@given(st.lists(st.text("ab \n", min_size=1), max_size=8), st.sampled_from([r"\n", r"\s"]))
def test_places_are_those_of_the_whole_text_wherever_it_is_cut_into_pieces(pieces, pattern):
    places, start = CutPlaces(pattern), 0
    for piece in pieces:
        places.add(piece, start)
        start += len(piece)
    assert places.places == [found.end() for found in re.finditer(pattern, "".join(pieces))]


@pytest.mark.parametrize("size", [7, 1000, 100_000])
def test_a_long_text_keeps_a_bounded_number_of_places_at_even_distances(monkeypatch, size):
    monkeypatch.setattr(cuts, "MOST", 64)
    places, text = CutPlaces(r"\n"), "a line\n" * 20_000
    for start in range(0, len(text), size):
        places.add(text[start : start + size], start)
    assert 32 <= len(places.places) <= 64
    gaps = {after - before for before, after in zip(places.places, places.places[1:], strict=False)}
    assert all(text[place - 1] == "\n" for place in places.places)
    assert max(gaps) <= 2 * min(gaps)


@pytest.mark.parametrize(
    ("share", "kinds", "place"),
    [
        (0.1, [[88, 93, 100]], 88),
        (0.1, [[70, 100], [85]], 85),  # 70 would be three times what was asked for, 100 nothing
        (0.1, [[], [50]], 90),
        (0.1, [[80]], 80),
        (0.9, [[4], [6]], 6),  # at least half of the tenth that is trained on
        (0, [[50]], 100),
        (0.999, [[50]], 0),
    ],
)
def test_a_cut_is_the_nearest_place_of_the_first_kind_that_keeps_to_the_share(share, kinds, place):
    assert cut(100, share, kinds) == place
