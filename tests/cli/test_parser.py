import pytest

from ostinato.cli.parser import Parser
from ostinato.errors import ConfigError


@pytest.fixture
def parser():
    made = Parser("prog", "It does things.")
    made.add_argument("--quiet", type=bool, default=False)
    made.add_argument("--name", type=str | None, default=None)
    return made


@pytest.mark.parametrize(
    ("words", "quiet"),
    [
        ([], False),
        (["--quiet"], True),
        (["--quiet", "--name", "x"], True),
        (["--name", "x", "--quiet"], True),
        (["--quiet", "false"], False),
        (["--quiet", "False"], False),
        (["--quiet", "True"], True),
        (["--quiet=true"], True),
    ],
)
def test_a_switch_may_stand_alone(parser, words, quiet):
    assert parser.read(words).quiet is quiet


def test_a_flag_is_not_shortened(parser):
    with pytest.raises(ConfigError, match=r"unknown argument --nam; did you mean --name\?"):
        parser.read(["--nam", "x"])


def test_a_word_too_many_is_not_taken_for_a_flag(parser):
    with pytest.raises(ConfigError, match=r"unknown argument name; see prog --help"):
        parser.read(["name"])
