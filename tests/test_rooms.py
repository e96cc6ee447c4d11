from __future__ import annotations

from pathlib import Path

import pytest

from tests.rooms import PACKAGE, circle, imports


def test_no_modules_of_the_house_import_each_other() -> None:
    assert circle(imports(PACKAGE)) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("import house.b", "from house import a"),
        ("from house.b import x", "from house.a import y"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.b import x", "from house.a import y"),
        ("def f():\n    from house.b import x", "import house.a"),
    ],
)
def test_a_circle_is_found_wherever_the_imports_are(first: str, second: str, tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "__init__.py").write_text("")
    (house / "a.py").write_text(first)
    (house / "b.py").write_text("import os")
    assert circle(imports(house)) == []
    (house / "b.py").write_text(second)
    found = circle(imports(house))
    assert set(found) == {"house.a", "house.b"}
    assert found[0] == found[-1]
