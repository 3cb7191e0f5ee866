"""Extractors by name."""

from dataclasses import replace

import pytest

from mirfeat.errors import ConfigError, MirfeatError, UnknownExtractorError
from mirfeat.networks import registry
from mirfeat.networks.registry import get_spec, list_extractors, register


@pytest.fixture(autouse=True)
def _own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_SPECS", dict(registry._SPECS))


@pytest.mark.parametrize("name", list_extractors())
def test_every_name_leads_to_its_own_record(name: str) -> None:
    assert get_spec(name).name == name


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("choi2007", "choi2017"),
        ("choi 2017", "choi2017"),
        ("Choi2017", "choi2017"),
        ("MFCC", "mfcc"),
        ("mfc", "mfcc"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_the_name_meant(given: str, meant: str) -> None:
    with pytest.raises(UnknownExtractorError) as caught:
        get_spec(given)
    message = f"unknown extractor {given!r}. Did you mean {meant!r}? All names: mirfeat list"
    assert str(caught.value) == message


def test_two_near_names_are_both_given() -> None:
    register(replace(get_spec("choi2017"), name="choi2018"))
    with pytest.raises(UnknownExtractorError, match=r"'choi201\d' or 'choi201\d'"):
        get_spec("choi2019")


@pytest.mark.parametrize("name", ["", "vggish", "+"])
def test_a_name_like_no_other_gets_no_guess(name: str) -> None:
    with pytest.raises(UnknownExtractorError) as caught:
        get_spec(name)
    assert str(caught.value) == f"unknown extractor {name!r}. All names: mirfeat list"


def test_an_unknown_name_is_caught_as_what_a_caller_would_guess() -> None:
    for kind in (ValueError, ConfigError, MirfeatError):
        with pytest.raises(kind):
            get_spec("vggish")


def test_patterns_are_those_of_the_shell() -> None:
    for name in ("net-a", "net-b", "net-c"):
        register(replace(get_spec("mfcc"), name=name))
    assert {"choi2017", "mfcc", "net-a"} <= set(list_extractors())
    assert list_extractors("*") == list_extractors()
    assert list_extractors("net-*") == ("net-a", "net-b", "net-c")
    assert list_extractors("net-[ac]") == ("net-a", "net-c")
    assert list_extractors("net-?") == ("net-a", "net-b", "net-c")
    assert list_extractors("mfcc") == ("mfcc",)
    assert list_extractors("mf") == ()
    assert list_extractors("NET-*") == ()


def test_a_third_party_registers_its_own() -> None:
    spec = replace(get_spec("mfcc"), name="My-Net-2")
    register(spec)
    assert get_spec("My-Net-2") is spec
    assert list_extractors()[-1] == "My-Net-2"


def test_a_taken_name_is_refused_and_stays_with_its_owner() -> None:
    owner = get_spec("mfcc")
    with pytest.raises(ConfigError, match="'mfcc' is registered already"):
        register(replace(get_spec("choi2017"), name="mfcc"))
    assert get_spec("mfcc") is owner


@pytest.mark.parametrize(
    "name", ["", "a+b", "a.b", "a*", "a?", "[a]", "a/b", "a b", "-a", "a\n", "a:b", "größe", "a_b"]
)
def test_a_name_that_would_mean_something_else_is_refused(name: str) -> None:
    before = list_extractors()
    with pytest.raises(ConfigError, match="letters, digits and '-' only"):
        register(replace(get_spec("mfcc"), name=name))
    assert list_extractors() == before
