"""Whether Triton is there."""

from __future__ import annotations

import functools


@functools.cache
def missing() -> str | None:
    """Why there is no Triton, or None. The first call imports it."""
    try:
        import triton  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
    except Exception as error:  # whatever a broken installation raises
        return f"Triton cannot be imported ({type(error).__name__}: {error}); pip install 'ostinato[gpu]'"
    return None
