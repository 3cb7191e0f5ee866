"""Options of loading are one list, whoever asks for them."""

import inspect

import pytest
import torch

import mirfeat
from mirfeat.adapters.scikit_learn import AudioFeatures
from mirfeat.cli.parser import get_parser
from mirfeat.errors import OptionError
from mirfeat.networks.frontend import Frontend
from mirfeat.networks.options import COMMON, common, defaults
from mirfeat.networks.registry import get_spec, list_extractors

TYPED = {"layers", "sources", "batch_norm"}  # options of single extractors, for completion
NAMES = {option.name for option in COMMON}


def test_python_scikit_learn_and_the_command_line_take_the_same_options() -> None:
    loading = inspect.signature(mirfeat.load_extractor).parameters
    assert set(loading) - {"name", "options"} == NAMES | TYPED
    assert set(AudioFeatures._get_param_names()) == {
        *NAMES, *TYPED, "extractor", "options", "on_error", "workers", "cache",
    }  # fmt: skip
    arguments = get_parser().parse_args(["extract", "x", "-m", "mfcc", "-o", "y"])
    assert NAMES | TYPED | {"option"} <= set(vars(arguments))


@pytest.mark.parametrize("where", [mirfeat.load_extractor, AudioFeatures])
def test_defaults_are_those_of_the_list(where: object) -> None:
    parameters = inspect.signature(where).parameters  # type: ignore[arg-type]
    for option in COMMON:
        assert parameters[option.name].default == option.default
        assert option.take(option.default) in (option.default, list(option.default or ()))
    for name in TYPED:
        assert parameters[name].default is None


def test_every_option_of_an_extractor_takes_its_default_and_says_what_it_is() -> None:
    for name in list_extractors():
        for option in get_spec(name).options:
            assert option.take(option.default) == option.default
            assert option.help
            assert option.name not in NAMES


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_seconds", "29", 29.0),
        ("hop_seconds", "0.5", 0.5),
        ("batch_size", "4", 4),
        ("statistics", "mean,std", ["mean", "std"]),
        ("statistics", "paper", "paper"),
        ("short", "error", "error"),
    ],
)
def test_text_of_a_command_line_becomes_a_value(name: str, text: str, value: object) -> None:
    assert common({name: text}) == {**defaults(COMMON), name: value}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 0, "batch_size=0: it is 1 or more segments"),
        ("batch_size", "many", "batch_size=many: invalid literal"),
        ("max_seconds", -1, "max_seconds=-1: it is more than 0, or None for all"),
        ("max_seconds", "nan", "more than 0"),
        ("short", "cut", "short='cut': it is 'tile' or 'error'"),
        ("precision", "int8", "precision='int8': it is one of float32, bfloat16, float16"),
    ],
)
def test_a_value_that_cannot_be_is_answered_with_what_can(
    name: str, value: object, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        common({name: value})


@pytest.mark.parametrize("name", list_extractors())
def test_a_scaling_knows_what_a_louder_sound_gives(name: str) -> None:
    mel = get_spec(name).mel
    sound = torch.rand(1, mel.channels, mel.sample_rate, generator=torch.Generator().manual_seed(0))
    frontend = Frontend(mel)
    quiet, loud = frontend.levels(sound - 0.5), frontend.levels((sound - 0.5) * 10 ** (6 / 20))
    said = mel.scaling.louder(quiet, torch.tensor(6.0), mel.power)
    torch.testing.assert_close(said, loud, atol=2e-3, rtol=1e-4)
    silence = mel.scaling.louder(quiet, torch.tensor(-float("inf")), mel.power)
    assert (silence <= quiet).all()
