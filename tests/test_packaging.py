"""What users meet before the first import: metadata, links, workflows, recipes."""

import re
import sys

from tests.conftest import REPOSITORY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

with (REPOSITORY / "pyproject.toml").open("rb") as _file:
    SETTINGS = tomllib.load(_file)
PROJECT = SETTINGS["project"]
ADDRESS = PROJECT["urls"]["Homepage"]


def test_links_of_the_readme_work_on_the_page_of_an_index() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for rule in SETTINGS["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"][
        "substitutions"
    ]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    raw = ADDRESS.replace("github.com", "raw.githubusercontent.com") + "/main/"
    for link in links:
        assert link.startswith("https://"), link
        for start in (f"{ADDRESS}/blob/main/", raw):
            if link.startswith(start):
                assert (REPOSITORY / link.removeprefix(start).partition("#")[0]).exists(), link


def test_extras_resolve_among_themselves() -> None:
    extras = PROJECT["optional-dependencies"]
    named = re.findall(r"[\w-]+", re.findall(r"\[(.*)\]", extras["all"][0])[0])
    assert set(named) == set(extras) - {"all", "av", "datasets", "ray"}


def test_the_recipe_asks_for_what_the_project_asks_for() -> None:
    recipe = (REPOSITORY / "packaging" / "conda" / "meta.yaml").read_text(encoding="utf-8")
    version = (REPOSITORY / "mirfeat" / "version.py").read_text(encoding="utf-8")
    assert f'"{re.findall(r"version = .(.+?).$", recipe, re.MULTILINE)[0][:5]}' in version
    listed = re.findall(r"^    - (\S+) (>=\S+)$", recipe.partition("  run:")[2], re.MULTILINE)
    theirs = {"torch": "pytorch", "soundfile": "pysoundfile", "soxr": "python-soxr"}
    needed = [re.match(r"([\w-]+)(>=\S+)", text) for text in PROJECT["dependencies"]]
    expected = {(theirs.get(m[1], m[1]), m[2]) for m in needed if m}
    assert {*expected, ("python", PROJECT["requires-python"])} == set(listed)


def test_classifiers_cover_the_versions_that_are_tested() -> None:
    tests = (REPOSITORY / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    for version in set(re.findall(r'"(3\.\d+)"', tests)):
        assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
