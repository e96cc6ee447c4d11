"""Export to ONNX: graphs that ONNX Runtime and other runtimes run on servers, on phones and in browsers."""

from __future__ import annotations

from ostinato.extras import check_installed

check_installed("export")

from ostinato.exporting.onnx.file import Written, write  # noqa: E402
from ostinato.exporting.onnx.translation import translation_table  # noqa: E402

__all__ = ["Written", "translation_table", "write"]
