from io import StringIO

from rich.console import Console

from ostinato.recipes.tag.colours import coloured

SOURCE = {"name": "a.py", "text": "if x:\n  1\n", "spans": [[0, 2, "keyword"], [2, 8, "space"], [8, 9, "number"]]}
SENTENCE = {"words": ["Ada", "sleeps"], "tags": ["B-PER", "O"], "probabilities": [1.0, 1.0]}


def printed(answer, **console):
    file = StringIO()
    Console(file=file, highlight=False, **console).print(coloured(answer), soft_wrap=True)
    return file.getvalue()


def test_source_is_as_it_was_where_there_are_no_colours():
    assert printed(SOURCE) == SOURCE["text"]
    assert printed(SENTENCE) == "Ada/B-PER sleeps\n"


def test_each_span_has_its_colour():
    found = printed(SOURCE, force_terminal=True, color_system="standard", no_color=False, legacy_windows=False)
    assert found == "\x1b[1;35mif\x1b[0m x:\n  \x1b[36m1\x1b[0m\n"


def test_no_color_is_heeded(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in printed(SOURCE, force_terminal=True, color_system="standard", legacy_windows=False)
