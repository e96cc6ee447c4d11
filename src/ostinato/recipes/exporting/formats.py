"""The formats in which the model of a run can be exported, by name; each is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from ostinato import places
from ostinato.errors import ConfigError, did_you_mean

# "module:function" for the function that writes a folder: see `ostinato.recipes.exporting.onnx_folder.export_run`.
FORMATS: dict[str, str] = {
    "onnx": "ostinato.recipes.exporting.onnx_folder:export_run",
    "c": "ostinato.recipes.exporting.c_folder:export_run",
}


def find(name: str) -> Callable[..., None]:
    """The function that writes a format.

    Raises:
        ConfigError: there is no format of this name, or it needs a package that is missing.
    """
    if name not in FORMATS:
        raise ConfigError(
            f"format {name}: expected one of {', '.join(FORMATS)}{did_you_mean(name, FORMATS).removesuffix('.')}"
        )
    if name == "onnx":
        from ostinato.extras import check_installed

        check_installed("export")
    return places.load(FORMATS[name], "function")
