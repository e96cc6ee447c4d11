"""Whether Triton can be imported."""

from __future__ import annotations

import functools


@functools.cache
def missing() -> str | None:
    """Why Triton cannot be imported; None if it can. The first call imports it."""
    try:
        import triton  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
    except Exception as error:  # a broken installation may raise anything
        return f"Triton cannot be imported ({type(error).__name__}: {error}); pip install 'ostinato[gpu]'"
    return None
