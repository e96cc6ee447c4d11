"""What exporting to ONNX needs besides what Ostinato needs anyway."""

from __future__ import annotations

from importlib.util import find_spec

from ostinato.errors import ConfigError

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def check_installed() -> None:
    """Raises a ConfigError that says what to install where a package is missing."""
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise ConfigError(
            f"exporting to ONNX needs {', '.join(missing)}, which cannot be imported; install them: pip install 'ostinato[export]'"
        )
