from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.records.splits import hashed_order, stratified_split
from ostinato.errors import ConfigError, DataError


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from("abc"), min_size=60, max_size=200),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
    st.integers(-5, 5),
)
def test_each_row_is_in_one_part_and_each_label_in_its_share(labels, validation, test, seed):
    parts = [part.tolist() for part in stratified_split(labels, validation, test, seed=seed)]
    assert sorted(row for part in parts for row in part) == list(range(len(labels)))
    assert all(part == sorted(part) for part in parts)
    assert {labels[row] for row in parts[0]} == set(labels)
    counts = Counter(labels)
    for part, share in ((parts[1], validation), (parts[2], test)):
        drawn = Counter(labels[row] for row in part)
        for label, count in counts.items():
            # The first row of a label is kept for training, and each of two roundings moves a row at most.
            assert abs(drawn[label] - (count - 1) * share) <= 2


def test_the_draw_is_the_same_everywhere_and_another_for_another_seed():
    # Computed once; a change would move rows between the parts of data that people have trained on.
    assert hashed_order(8).tolist() == ORDER_OF_EIGHT
    labels = ["a"] * 50
    assert stratified_split(labels, 0.2)[1].tolist() == stratified_split(labels, 0.2)[1].tolist()
    assert stratified_split(labels, 0.2)[1].tolist() != stratified_split(labels, 0.2, seed=1)[1].tolist()


ORDER_OF_EIGHT = [6, 1, 2, 4, 7, 5, 0, 3]


def test_a_label_of_one_row_is_trained_on():
    train, validation, test = stratified_split([*"ab", *("c" * 30)], 0.3, 0.3)
    assert {0, 1} <= set(train.tolist())
    assert len(validation) + len(test) == 17


def test_no_share_gets_no_row():
    train, validation, test = stratified_split("ab" * 10, 0.0)
    assert (len(train), len(validation), len(test)) == (20, 0, 0)


@pytest.mark.parametrize("shares", [(1.0, 0.0), (-0.1, 0.2), (0.5, 0.5), (float("nan"), 0.1)])
def test_shares_out_of_range_are_refused(shares):
    with pytest.raises(ConfigError, match="together less than 1"):
        stratified_split("ab" * 10, *shares)


def test_too_few_rows_are_told():
    with pytest.raises(DataError, match=r"3 rows with 3 labels are too few to draw a share of 0.1 for validation"):
        stratified_split("abc", 0.1)
