"""The packages that `pip install ostinato` leaves out, and the extras that install them.

Layers, cells, the compiler, streams and the numbers of insight need none of them. Other code imports them where it uses them:

    with needed():
        import polars
"""

from __future__ import annotations

from importlib.util import find_spec
from types import TracebackType

from ostinato.errors import MissingPackageError

_PACKAGES = {
    "tasks": (
        *(
            "PIL",
            "babel",
            "docstring_parser",
            "jiwer",
            "jsonargparse",
            "lightning_fabric",
            "polars",
            "regex",
            "sacrebleu",
        ),
        *("shtab", "sklearn", "tensorboard", "tokenizers", "unicode_rbnf", "yaml"),
    ),
    "plots": ("matplotlib",),
    "ray": ("ray",),
    "sweep": ("optuna", "redis"),
    "serve": ("httptools", "orjson", "prometheus_client", "redis", "starlette", "uvicorn", "websockets"),
    "export": ("onnx", "onnx_ir", "onnxruntime", "onnxscript"),
    "audio": ("soundfile", "scipy"),
    "edf": ("edfio",),
    "gpu": ("triton",),
}
_EXTRAS = {package: extra for extra, packages in _PACKAGES.items() for package in packages}


class needed:  # noqa: N801 - read as a word: "with needed(): import polars"
    """A block of imports; if a package of an extra is not installed, the error says how to install it.

    Raises:
        MissingPackageError: a package is not installed.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ModuleNotFoundError) and (missing := missing_package(error)) is not None:
            raise missing from None


def check_installed(extra: str) -> None:
    """Check that all packages of an extra are installed, before starting work that needs them.

    Raises:
        MissingPackageError: a package is not installed.
    """
    for package in _PACKAGES[extra]:
        if find_spec(package) is None:
            raise _missing(package, extra)


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """The error that says how to install the missing package; None if it belongs to no extra."""
    package = (error.name or "").split(".")[0]
    extra = _EXTRAS.get(package)
    return None if extra is None else _missing(package, extra)


def for_command(error: MissingPackageError, command: str) -> MissingPackageError:
    """The error for a command: if the command has an extra of its own, which includes "tasks", it names that extra."""
    package = error.name or ""
    return _missing(package, command) if command in ("serve", "sweep") and _EXTRAS.get(package) == "tasks" else error


def _missing(package: str, extra: str) -> MissingPackageError:
    return MissingPackageError(
        f"this needs the package {package}, which is not installed; install it: pip install 'ostinato[{extra}]'",
        name=package,
    )
