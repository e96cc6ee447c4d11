import io
import re

from rich.console import Console

from ostinato.training import Progress
from ostinato.training.loop.evaluation import Evaluation
from ostinato.training.loop.progress import ExampleProgress, Moment

MOMENT = Moment(step=120, used=0.25, loss=1.3862943611198906, gradient_norm=0.5, tokens_per_s=54321.0, time_left_s=3725)


def written(terminal, quiet, act):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=200, highlight=False, color_system=None)
    progress = Progress(quiet=quiet, console=console)
    with progress.running():
        act(progress)
    return out.getvalue()


def test_plain_lines_where_there_is_no_terminal():
    text = written(False, False, lambda progress: progress.show(MOMENT))
    assert text == " 25%  step 120  loss 1.386 nats/token  2.000 bits/char  54,321 tokens/s  |g| 0.50  1:02:05 left\n"


def test_a_bar_in_a_terminal():
    text = written(True, False, lambda progress: progress.show(MOMENT))
    assert "\x1b[" in text
    assert "25%" in text
    assert "2.000 bits/char" in text


def screen(width, act):
    """The last line that a terminal of this width shows."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, highlight=False, color_system=None)
    progress = Progress(console=console)
    with progress.running():
        act(progress)
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue()).split("\r")[-1].rstrip("\n")


def test_a_narrow_terminal_shows_what_matters_most_and_a_wide_one_all():
    late = Moment(step=123456, used=0.5, loss=1.25, gradient_norm=12.5, tokens_per_s=154321.0, time_left_s=37255)
    narrow, wide = (screen(width, lambda progress: progress.show(late)) for width in (80, 160))
    assert len(narrow.rstrip()) <= 80
    assert narrow.split("50% ")[1].rstrip() == "step 123456  1.803 bits/char  154,321 tokens/s  10:20:55 left"
    whole = "step 123456  loss 1.250 nats/token  1.803 bits/char  154,321 tokens/s  |g| 12.50  10:20:55 left"
    assert wide.split("50% ")[1].rstrip() == whole


def test_a_terminal_gets_lines_that_are_cut_between_words():
    words = "step 120: validation accuracy 91.23%, macro f1 90.11%, unknown word accuracy 80.12%, loss 0.2412 nats/tag"
    out = io.StringIO()
    progress = Progress(console=Console(file=out, force_terminal=True, width=80, color_system=None))
    progress.say(words)
    progress.evaluated(7, Evaluation(0.7, 1), best=False, sample="a" * 300)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[:2]) == words


def test_quiet_is_quiet():
    def everything(progress):
        assert not progress.due()
        progress.say("hello")
        progress.evaluated(1, Evaluation(1.0, 1), best=True, sample="hello")
        progress.show_reading(5, 10)
        progress.show_judging("the test data", 5, 10)

    assert written(True, True, everything) == ""
    assert written(False, True, everything) == ""


def test_updates_are_few():
    def often(progress):
        progress._shown_at = -1e9
        shown = 0
        for _ in range(1000):
            if progress.due():
                progress.show(MOMENT)
                shown += 1
        assert shown == 1

    written(False, False, often)


def test_an_evaluation_shows_a_line_of_text_that_cannot_act_on_the_terminal():
    text = written(
        False,
        False,
        lambda progress: progress.evaluated(7, Evaluation(0.7, 1), best=True, sample="a\n[bold]\x1b[2J\tb"),
    )
    first, second = text.splitlines()
    assert first == "step 7: validation 0.700 nats/token, 1.010 bits/char  best so far"
    assert second == "  a⏎[bold] [2J b"


def test_bits_are_of_the_text_that_was_read():
    progress = Progress(quiet=True)
    progress.characters_per_token, progress.validation_characters_per_token = 2.0, 4.0
    assert progress.bits(1.3862943611198906) == 1.0
    assert progress.validation_bits(1.3862943611198906) == 0.5


def test_reading_shows_how_far_it_is():
    def read(progress, done=5_000_000, total=20_000_000):
        progress._shown_at = -1e9
        progress.show_reading(done, total)

    assert written(False, False, read) == " 25%  reading the data, 5 MB of 20\n"
    assert written(False, False, lambda progress: read(progress, 20_000, 40_000)) == (
        " 50%  reading the data, 0.02 MB of 0.04\n"
    )
    assert written(False, False, lambda progress: read(progress, 20_000, None)) == "  0%  reading the data, 0.02 MB\n"


def test_a_warning_is_one_line_on_standard_error_quiet_or_not(capsys):
    Progress(quiet=True).warn("[state] is damaged " + "x" * 300)
    assert capsys.readouterr() == ("", "[state] is damaged " + "x" * 300 + "\n")


def test_a_figure_that_there_is_none_of_is_a_dash():
    progress = ExampleProgress("tag", ("accuracy",), quiet=True)
    assert [progress.number("accuracy", value) for value in (0.5, float("nan"))] == ["50.00%", "-"]
    assert progress.number("mase", float("nan")) == "-"
