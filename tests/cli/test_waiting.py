import io

from ostinato.cli.waiting import waiting


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar_and_a_file_nothing(monkeypatch):
    for made, is_shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", made)
        with waiting("counting") as on_batch:
            on_batch(1, 2)
            on_batch(2, 2)
        assert ("counting" in made.getvalue()) == is_shown
