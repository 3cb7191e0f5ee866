"""The one command: its configurations in another folder, and that its steps name what there is."""

import re
import sys
from pathlib import Path

import pytest

from mirfeat.training.config import read_config
from mirfeat.training.recipes import DEFAULTS
from open_weights.configurations import OPEN, write_configurations
from tests.conftest import REPOSITORY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCRIPT = REPOSITORY / "open_weights/make_all.sh"


def test_configurations_look_for_everything_in_the_folder(tmp_path: Path) -> None:
    for path in write_configurations(tmp_path):
        plain = tomllib.loads((OPEN / path.name).read_text(encoding="utf-8"))
        config = read_config(path, DEFAULTS)
        assert config.manifest == tmp_path / "open.csv"
        assert config.output.is_relative_to(tmp_path / "runs")
        assert "../" not in path.read_text(encoding="utf-8")
        assert config.optimiser.steps == plain["optimiser"]["steps"]
        assert config.optimiser.batch == plain["optimiser"]["batch"]


def test_a_try_has_few_steps_and_an_equal_file_is_left_alone(tmp_path: Path) -> None:
    paths = write_configurations(tmp_path, steps=4)
    for path in paths:
        config = read_config(path, DEFAULTS)
        assert (config.optimiser.steps, config.validation.every) == (4, 4)
        assert config.optimiser.warmup <= 1
        assert config.optimiser.batch == 4
    times = [path.stat().st_mtime_ns for path in paths]
    write_configurations(tmp_path, steps=4)
    assert [path.stat().st_mtime_ns for path in paths] == times


@pytest.fixture(scope="module")
def trained() -> list[str]:
    """Names of the configurations in the script's order."""
    text = SCRIPT.read_text(encoding="utf-8").replace("\\\n", " ")
    loop = re.search(r"for name in (.*?); do", text)
    assert loop is not None
    return loop[1].split()


def test_every_configuration_is_trained_after_what_it_begins_with(trained: list[str]) -> None:
    assert sorted(trained) == sorted(path.stem for path in OPEN.glob("*.toml"))
    for number, name in enumerate(trained):
        initial = tomllib.loads((OPEN / f"{name}.toml").read_text(encoding="utf-8")).get("initial")
        if initial is not None:
            assert Path(initial).parent.name in trained[:number]


def test_every_script_that_it_runs_is_there() -> None:
    scripts = set(re.findall(r"open_weights/\w+\.py", SCRIPT.read_text(encoding="utf-8")))
    assert len(scripts) >= 10
    for script in scripts:
        assert (REPOSITORY / script).is_file()
