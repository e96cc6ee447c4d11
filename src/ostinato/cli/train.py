"""`ostinato train RECIPE`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from ostinato.errors import ConfigError

RECIPES = {"lm": "a recurrent language model: characters, bytes, words or byte pairs"}


def main(words: Sequence[str]) -> int:
    """Trains. Returns 0, or 130 after an interrupt that left a run to resume."""
    if not words or words[0] in ("-h", "--help"):
        print("usage: ostinato train RECIPE ...\n")
        print("\n".join(f"  {name}  {what}" for name, what in RECIPES.items()))
        print("\n`ostinato train lm --help` lists every setting.")
        return 0
    if words[0] not in RECIPES:
        close = difflib.get_close_matches(words[0], RECIPES, 1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise ConfigError(f"{words[0]} is no recipe{hint} Expected one of {', '.join(RECIPES)}: ostinato train lm")
    return _train_lm(words[1:])


def _train_lm(words: Sequence[str]) -> int:
    from ostinato.cli.parser import Parser
    from ostinato.recipes.settings import LanguageModelSettings
    from ostinato.training.distributed_launch import is_launched, launch, rank, stop_with_the_watcher

    parser = Parser("ostinato train lm", "Train a language model; with no argument, on Python's standard library.")
    parser.add_argument(
        "--config", action="config", help="a YAML file, or a paper's recipe such as zaremba-small; flags after it win"
    )
    parser.add_class_arguments(LanguageModelSettings)
    words = _with_recipes(words)
    given = parser.read(words)
    if given.resume:
        if given.run is None:
            raise ConfigError("--resume needs --run FOLDER, the run to go on with")
        given = parser.read([*_settings_of(given.run), *words])
    values = given.as_dict()
    del values["config"]
    settings = LanguageModelSettings.from_dict(values)
    if settings.devices * settings.nodes > 1 and not is_launched():
        return launch(["train", "lm", *words], settings.devices, settings.nodes)
    stop_with_the_watcher()

    # Loaded only now: a wrong flag should not wait for torch.
    from ostinato.cli.main import INTERRUPTED
    from ostinato.recipes.language_model import train
    from ostinato.recipes.report import resume_command, show

    result = train(settings)
    if rank() > 0:
        return INTERRUPTED if result.outcome.ending == "interrupted" else 0
    if result.outcome.ending == "interrupted":
        print(f"interrupted at step {result.outcome.counters.step}; go on with: {resume_command(result)}")
        return INTERRUPTED
    if settings.quiet:
        print(result.run)
    else:
        show(result)
    return 0


def _with_recipes(words: Sequence[str]) -> list[str]:
    """The words, with the file of each configuration that `--config` names."""
    from ostinato.recipes.papers import resolve

    found: list[str] = []
    for word in words:
        if found and found[-1] == "--config":
            word = resolve(word)
        elif word.startswith("--config="):
            word = f"--config={resolve(word.removeprefix('--config='))}"
        found.append(word)
    return found


def _settings_of(run: str) -> list[str]:
    """The run's own settings, as words that go before those given."""
    from ostinato.training.run_folder import RunFolder

    folder = RunFolder(run)
    folder.check(resume=True)
    folder.read_config()  # so that a damaged file is called that
    return ["--config", str(folder.config_file)]
