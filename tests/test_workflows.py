"""What runs elsewhere is what runs here: workflows call make targets that exist."""

import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY

GITHUB = REPOSITORY / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_targets_that_exist(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    called = {
        target
        for step in steps
        for line in re.findall(r"^make ([a-z -]+)", step.get("run", ""), re.MULTILINE)
        for target in line.split()
    }
    assert called <= TARGETS
    # An action without a version would be whatever its owner makes of it.
    assert all("@" in step["uses"] for step in steps if "uses" in step)
    assert all(set(job.get("needs", "").split()) <= set(jobs) for job in jobs.values())


def test_the_three_systems_and_both_ends_of_python_are_tried() -> None:
    workflow = yaml.safe_load((GITHUB / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]
    assert [system.partition("-")[0] for system in matrix["os"]] == ["ubuntu", "macos", "windows"]
    oldest = re.search(
        r'requires-python = ">=([\d.]+)"', (REPOSITORY / "pyproject.toml").read_text()
    )
    assert oldest is not None
    assert matrix["python"][0] == oldest[1]


@pytest.mark.parametrize("name", ["fault", "wish"])
def test_forms_ask_for_something(name: str) -> None:
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8"))
    assert form.keys() >= {"name", "description", "body"}
    assert any(field.get("validations", {}).get("required") for field in form["body"])
