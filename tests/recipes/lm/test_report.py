import dataclasses
import io

from rich.console import Console

from ostinato.recipes.lm.report import resume_command, show


def shown(result):
    out = io.StringIO()
    show(result, Console(file=out, width=120, highlight=False, color_system=None))
    return out.getvalue()


def test_it_shows_figures_sample_and_what_comes_next(result):
    text = shown(dataclasses.replace(result, sample="[bold]def\x1b[2J"))
    for figures in (result.network, *result.baselines.values()):
        assert f"{figures.bits_per_character:.3f}" in text
    assert "[bold]def�[2J" in text
    assert "\x1b" not in text
    best = min(result.baselines, key=lambda name: result.baselines[name].bits_per_character)
    if result.network.bits_per_character < result.baselines[best].bits_per_character:
        best = "network (this run)"
    assert f"best on the validation text: {best}" in text
    assert ("the network is worse there" in text) == (best != "network (this run)")
    assert f"ostinato generate {result.run}" in text
    assert f"ostinato train lm --run {result.run} --resume" in text


def test_a_folder_with_a_space_is_quoted(result):
    other = dataclasses.replace(result, run=type(result.run)("my runs/a"))
    assert resume_command(other) == "ostinato train lm --run 'my runs/a' --resume"


def test_an_interrupted_run_has_nothing_to_show(result):
    assert shown(dataclasses.replace(result, network=None)) == ""


def test_the_prompt_that_is_suggested_has_letters_that_the_model_knows(result):
    assert "--prompt 한국어" in shown(dataclasses.replace(result, sample="한국어 글")).replace("'", "")
    assert "--prompt" not in shown(dataclasses.replace(result, sample="..."))


def test_a_perplexity_that_tells_nobody_anything_is_left_out(result):
    few, many = (dataclasses.replace(result.network, perplexity_per_word=value) for value in (9e4, 1e8))
    assert "perplexity/word" in shown(dataclasses.replace(result, network=few, baselines={}))
    assert "perplexity/word" not in shown(dataclasses.replace(result, network=many))
