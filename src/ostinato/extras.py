"""The packages that `pip install ostinato` leaves out, and what brings them.

Layers, cells, the compiler, streams and the numbers of insight need none of them. Whoever does imports them where they are used:

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
    """A block of imports; where a package of an extra is not installed, the error says how to install it.

    Raises:
        MissingPackageError: it is not installed.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ModuleNotFoundError) and (missing := missing_package(error)) is not None:
            raise missing from None


def check_installed(extra: str) -> None:
    """Looks for the packages of an extra, before a work begins that needs them all.

    Raises:
        MissingPackageError: one is not installed.
    """
    for package in _PACKAGES[extra]:
        if find_spec(package) is None:
            raise _missing(package, extra)


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """What to tell where the package is one of an extra; None for another."""
    package = (error.name or "").split(".")[0]
    extra = _EXTRAS.get(package)
    return None if extra is None else _missing(package, extra)


def _missing(package: str, extra: str) -> MissingPackageError:
    return MissingPackageError(
        f"this needs the package {package}, which is not installed; install it: pip install 'ostinato[{extra}]'",
        name=package,
    )
