"""Runs with random weights: what is served need not be good."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from ostinato.recipes.registry import find, record
from ostinato.recipes.task import Opening
from ostinato.recipes.trained import read_splits
from ostinato.training.run.run_folder import RunFolder

TEXT = "the quick brown fox jumps over the lazy dog\n" * 60


def untrained(folder: Path, task: str, *, seed: int = 0, known_of: Path | None = None, **settings: Any) -> Path:
    """The folder of a run whose model was never trained."""
    entry = find(task)
    made = entry.settings_class().from_dict({**settings, "run": str(folder), "device": "cpu"})
    recipe = entry.make()
    torch.manual_seed(seed)
    known = (
        recipe.learn(made, read_splits(recipe, made, Opening()).train)
        if known_of is None
        else recipe.load_known(known_of)
    )
    model = recipe.build(made, known)
    run = RunFolder(folder)
    run.create({**dataclasses.asdict(made), "task": task})
    recipe.save_known(known, run.path)
    record(recipe, run.path)
    run.write_model(model.state_dict())
    return folder


def untrained_lm(folder: Path, text: str = TEXT, *, hidden: int = 16, seed: int = 0, **settings: Any) -> Path:
    """Of a language model of characters."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder.parent / f"{folder.name}.txt"
    file.write_text(text)
    model = {"embedding_size": 8, "hidden_size": hidden, **settings.pop("model", {})}
    return untrained(folder, "lm", seed=seed, data=str(file), model=model, **settings)
