"""Which units mean something is found while the model serves."""

from pathlib import Path
from threading import Thread

from ostinato.recipes import open_run
from ostinato.serving.answers.units import ranked_units, units
from tests.serving.untrained import untrained_lm


def test_ranking_and_reading_do_not_disturb_each_other(tmp_path: Path) -> None:
    trained = open_run(untrained_lm(tmp_path / "lm"))
    alone, text = ranked_units(trained), "the quick brown fox\n"
    of_text = units(trained, text, 1000, best=[{}])
    found = []
    ranking = Thread(target=lambda: found.append(ranked_units(trained)))
    ranking.start()
    while ranking.is_alive():
        assert units(trained, text, 1000, best=[{}]) == of_text
    assert found == [alone]
