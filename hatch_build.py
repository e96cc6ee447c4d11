"""What the build backend asks for: the README without the links and pictures that lead nowhere outside a clone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURES = re.compile(
    r"\[!\[[^\]]*\]\((?!https?:)[^)]*\)\]\([^)]*\)|!\[[^\]]*\]\((?!https?:)[^)]*\)|<picture>.*?</picture>\n*", re.DOTALL
)
_LINKS = re.compile(r"\[([^\]]+)\]\((?![a-z]+:|#)[^)]*\)")


class WheelReadme(MetadataHookInterface):
    """Package indexes and `pip show` have the README, but not the files beside it."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Sets the README: each relative link becomes its words, each relative picture nothing."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = _LINKS.sub(r"\1", _PICTURES.sub("", text))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
