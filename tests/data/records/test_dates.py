import datetime
import itertools

import pytest

from ostinato.data.records.dates import LANGUAGES, date_writers, dates_to_iso
from ostinato.errors import ConfigError


def test_some_forms_that_people_know():
    day = datetime.date(2001, 11, 15)
    written = {language: {write(day) for write in date_writers(language)} for language in LANGUAGES}
    assert {"Thursday, November 15, 2001", "November 15, 2001", "Nov 15, 2001"} <= written["en"]
    assert {"Donnerstag, 15. November 2001", "15.11.2001"} <= written["de"]
    assert "15. marraskuuta 2001" in written["fi"]
    assert "2001年11月15日" in written["ja"]
    assert all(len(forms) >= 3 for forms in written.values())


def test_no_text_stands_for_two_days():
    days = [
        datetime.date(year, month, day) for year in (1999, 2012) for month in range(1, 13) for day in (1, 2, 9, 11, 12)
    ]
    meant: dict[str, datetime.date] = {}
    for language in LANGUAGES:
        for write in date_writers(language):
            for day in days:
                assert meant.setdefault(write(day), day) == day, (language, write(day))


def test_a_day_is_in_one_part_and_a_text_in_one_pair():
    splits = dates_to_iso(3000, 300, 200)
    parts = [part.pairs for part in (splits.train, splits.validation, splits.test)]
    assert [len(part) for part in parts] == [3000, 300, 200]
    targets = [{pair.target for pair in part} for part in parts]
    for one, other in itertools.combinations(targets, 2):
        assert not one & other
    sources = [pair.source for part in parts for pair in part]
    assert len(set(sources)) == len(sources)
    for target in targets[2]:
        assert datetime.date.fromisoformat(target).isoformat() == target
        assert "1900-01-01" <= target <= "2099-12-31"


def test_the_draw_is_seeded_and_parts_do_not_depend_on_the_seed():
    one, again, other = (dates_to_iso(300, 50, 50, languages=["en", "de"], seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one.train != other.train
    assert not {p.target for p in one.train.pairs} & {p.target for p in other.test.pairs}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": ["xx"]}, "language must be a code of Unicode's CLDR .* got 'xx'"),
        ({"languages": []}, "languages must name at least one"),
        ({"train": 0}, r"train must be 1 to [\d,]+ pairs in these languages; got 0"),
        ({"languages": ["en"], "test": 10_000}, r"test must be 1 to [\d,]+ pairs in these languages; got 10000"),
    ],
)
def test_what_cannot_be_is_told(options, message):
    with pytest.raises(ConfigError, match=message):
        dates_to_iso(**options)
