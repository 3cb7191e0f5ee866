"""The tree is what docs/architecture.md and the import contract say."""

import re
import sys
from collections import Counter
from pathlib import Path

import grimp
import pytest

from tests.conftest import REPOSITORY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = REPOSITORY / "mirfeat"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")


def rooms() -> set[str]:
    """Packages and modules at the top."""
    return {
        path.stem
        for path in PACKAGE.iterdir()
        if (path / "__init__.py").is_file() or path.suffix == ".py"
    } - {"__init__", "__main__"}


def drawn() -> list[str]:
    """Lines of rooms in the page, from the top."""
    block = PAGE.partition("Rooms on one line do not know each other.")[2].split("\n\n")[1]
    lines = [re.split(r"\s{2,}", line.strip())[0] for line in block.splitlines()]
    return [line for line in lines if set(line.split(" | ")) <= rooms()]


def test_the_page_draws_the_contract_and_the_tree() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]
    (layers,) = (c for c in contracts["contracts"] if c["name"] == "imports go one way")
    assert drawn() == layers["layers"]
    assert {room for line in drawn() for room in line.split(" | ")} == rooms()
    assert "exclude_type_checking_imports" not in contracts


def test_the_top_is_seen_at_a_glance() -> None:
    assert len(rooms()) <= 21
    assert len(PAGE.splitlines()) <= 70


def test_rooms_have_few_arrows_and_no_circle() -> None:
    graph = grimp.build_graph("mirfeat", cache_dir=None)
    arrows = set()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            ends = importer.split(".")[1:2], imported.split(".")[1:2]
            if all(ends) and ends[0] != ends[1] and ends[0] != ["__main__"]:
                arrows.add((ends[0][0], ends[1][0]))
    assert len(arrows) <= 120
    level = {room: place for place, line in enumerate(drawn()) for room in line.split(" | ")}
    assert all(level[importer] < level[imported] for importer, imported in arrows)


FILES = sorted(PACKAGE.rglob("*.py"))


def test_no_class_has_the_name_of_another() -> None:
    names = Counter(
        name
        for file in FILES
        for name in re.findall(r"^class (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_a_file_fits_into_a_head() -> None:
    lines = {file: len(file.read_text("utf-8").splitlines()) for file in FILES}
    assert {file: count for file, count in lines.items() if count > 300} == {}


@pytest.mark.parametrize("word", ["utils", "core", "base", "helpers"])
def test_no_module_is_called_after_nothing(word: str) -> None:
    assert not list(PACKAGE.rglob(f"{word}.py")) + list(PACKAGE.rglob(f"{word}/__init__.py"))


def test_tests_lie_where_the_code_does() -> None:
    folders = {path.name for path in Path(REPOSITORY / "tests").iterdir() if path.is_dir()}
    packages = {room for room in rooms() if (PACKAGE / room).is_dir()}
    assert packages <= folders
