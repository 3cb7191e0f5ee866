"""What users meet before the first import: metadata, links, workflows, recipes."""

import re
import sys

import pytest
import yaml

import mirfeat
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


RECIPE = REPOSITORY / "packaging" / "conda" / "recipe.yaml"


def test_the_recipe_asks_for_what_the_project_asks_for() -> None:
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    oldest = recipe["context"]["python_min"]
    assert PROJECT["requires-python"] == f">={oldest}"
    theirs = {"torch": "pytorch", "soundfile": "pysoundfile", "soxr": "soxr-python"}
    needed = [re.match(r"([\w-]+)(>=\S+)", text) for text in PROJECT["dependencies"]]
    expected = {f"{theirs.get(m[1], m[1])} {m[2]}" for m in needed if m}
    python = "python >=${{ python_min }}"
    assert {*expected, python} == set(recipe["requirements"]["run"])
    tools = {text.replace(">=", " >=") for text in SETTINGS["build-system"]["requires"]}
    assert tools < set(recipe["requirements"]["host"])
    (program,) = PROJECT["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [" = ".join(program)]


def test_the_recipe_is_one_of_the_version_that_this_is() -> None:
    rattler_build = pytest.importorskip("rattler_build")  # of the group lint
    recipe = rattler_build.Stage0Recipe.from_file(RECIPE)
    (variant,) = recipe.render(rattler_build.VariantConfig())
    rendered = variant.recipe.to_dict()
    version = mirfeat.__version__.partition(".dev")[0]
    assert rendered["package"] == {"name": "mirfeat", "version": version}
    assert rendered["source"][0]["url"].endswith(f"/v{version}/mirfeat-{version}.tar.gz")
    assert rendered["about"]["license_file"] == PROJECT["license-files"]


def test_classifiers_cover_the_versions_that_are_tested() -> None:
    tests = (REPOSITORY / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    for version in set(re.findall(r'"(3\.\d+)"', tests)):
        assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


CONTAINERS = REPOSITORY / "examples" / "containers"


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_a_container_copies_what_is_sent_and_takes_the_tested_torch(name: str) -> None:
    text = (CONTAINERS / name).read_text(encoding="utf-8")
    copied = {
        word for words in re.findall(r"^COPY (.+) \S+$", text, re.M) for word in words.split()
    }
    rules = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert all((REPOSITORY / path).exists() for path in copied)
    tested = re.search(r"^TORCH := (\S+)$", (REPOSITORY / "Makefile").read_text(), re.M)
    assert tested
    assert f" {tested[1]}" in text
