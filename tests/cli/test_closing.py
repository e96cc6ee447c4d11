import io

import pytest

from ostinato.cli.closing import tell_next


class Screen(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_comes_next_is_for_people_alone(monkeypatch, capsys, is_terminal):
    screen = Screen(is_terminal)
    monkeypatch.setattr("sys.stderr", screen)
    tell_next({"look inside": ["ostinato", "inspect", "runs/my run"], "why": ["ostinato", "explain", "runs/a", "DATA"]})
    shown = "look inside  ostinato inspect 'runs/my run'\nwhy          ostinato explain runs/a DATA\n"
    assert screen.getvalue() == (shown if is_terminal else "")
    assert capsys.readouterr().out == ""
