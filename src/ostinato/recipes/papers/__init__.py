"""Recipes of papers: configurations that ship with the package, one YAML file each, with sources and comments."""

from __future__ import annotations

from pathlib import Path

from ostinato.errors import ConfigError, did_you_mean

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The configurations that `--config` knows by name."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def path_of(name: str) -> Path:
    """The file of a configuration by name.

    Raises:
        ConfigError: there is no such name; the message lists all names.
    """
    if name not in names():
        hint = did_you_mean(name, names())
        raise ConfigError(
            f"{name} is no file, and no configuration that ships{hint} Expected a YAML file or one of {', '.join(names())}"
        )
    return _FOLDER / f"{name}.yaml"


def resolve(config: str) -> str:
    """The file that `--config` means: an existing file, or else a configuration that ships.

    What looks like a path, with a folder or a suffix, is returned unchanged.

    Raises:
        ConfigError: it is neither; see `path_of`.
    """
    path = Path(config)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return config
    return str(path_of(config))
