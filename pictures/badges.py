"""The badges of the README, from what pyproject.toml says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pictures import paper

_WIDTH = 6.6  # of a letter at 11 px, about


def texts() -> dict[str, tuple[str, str]]:
    """Label and value of each badge, by its name."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pythons = [found[1] for each in project["classifiers"] if (found := re.search(r":: (3\.\d+)$", each))]
    torch = next(each for each in project["dependencies"] if each.startswith("torch"))
    first, beyond = re.findall(r"2\.(\d+)", torch)
    return {
        "python": ("Python", f"{pythons[0]} to {pythons[-1]}"),
        "torch": ("torch", f"2.{first} to 2.{int(beyond) - 1}"),
        "license": ("license", project["license"]),
    }


def draw() -> list[Path]:
    """Draws them; they look the same on light and dark pages."""
    files = []
    for name, (label, value) in texts().items():
        left, right = (round(_WIDTH * len(text)) + 14 for text in (label, value))
        files.append(paper.FOLDER / f"badge_{name}.svg")
        files[-1].write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img">'
            f"<title>{label}: {value}</title>"
            f'<rect width="{left + right}" height="20" rx="4" fill="#555b66"/>'
            f'<path d="M{left} 0h{right - 4}a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4h-{right - 4}z" fill="#0072B2"/>'
            '<g fill="#fff" text-anchor="middle" font-family="system-ui, sans-serif" font-size="11">'
            f'<text x="{left / 2}" y="14">{label}</text><text x="{left + right / 2}" y="14">{value}</text></g></svg>\n',
            encoding="utf-8",
        )
    return files
