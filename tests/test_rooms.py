from __future__ import annotations

from pathlib import Path

import pytest

from tests.rooms import BESIDE, PACKAGE, circle, floors, imports, picture


@pytest.mark.parametrize("package", [PACKAGE, *BESIDE], ids=lambda path: path.name)
def test_no_modules_of_a_package_import_each_other(package: Path) -> None:
    assert circle(imports(package)) == []


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


def test_the_picture_has_a_dot_for_each_room_that_imports_another(tmp_path: Path) -> None:
    for room, code in (("above", "from house.below import module"), ("below", "")):
        (tmp_path / "house" / room).mkdir(parents=True)
        (tmp_path / "house" / room / "__init__.py").write_text("")
        (tmp_path / "house" / room / "module.py").write_text(code)
    drawn = picture(imports(tmp_path / "house"), ["above", "below"])
    assert drawn.count("<circle") == 1
    assert "1 of 2 modules of above import below" in drawn


def test_nothing_imports_a_floor_above_it() -> None:
    at = {floor: n for n, floor in enumerate(floors())}
    graph = imports(PACKAGE)
    beside = {"cell_names", "errors", "locks", "places", "recorded", "types", "version"}
    for name, others in graph.items():
        floor = name.split(".")[1] if name.count(".") else None
        for other in others:
            below = other.split(".")[1] if other.count(".") else None
            if floor in at and below in at and floor != below and below not in beside:
                assert at[floor] <= at[below], f"{name} imports {other}"
