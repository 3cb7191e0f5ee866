"""Training configurations: what a TOML file may say, and what is refused."""

import json
import os
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mirfeat.errors import ConfigError
from mirfeat.networks.registry import list_extractors
from mirfeat.training.config import (
    _RANGES,
    Augmentation,
    NetworkShape,
    Optimiser,
    Sources,
    TrainConfig,
    Validation,
    read_config,
)
from mirfeat.training.recipes import DEFAULTS

LEAST = 'extractor = "kim2019-ms-cr-2"\nmanifest = "tracks.csv"\noutput = "run"\n'


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "run.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(tmp_path: Path, text: str | bytes) -> TrainConfig:
    return read_config(written(tmp_path, text), DEFAULTS)


def test_the_least_that_a_file_says(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    assert config == TrainConfig(
        "kim2019-ms-cr-2", tmp_path / "tracks.csv", tmp_path / "run", tmp_path / "cache"
    )


def test_every_key_reaches_its_field(tmp_path: Path) -> None:
    text = LEAST + (
        'cache = "mel"\ninitial = "old.safetensors"\nseed = 7\nrepeat = 3\n'
        'licence = "CC0-1.0"\ntraining_data = "ours"\n'
        '[sources]\nnames = ["self", "tag"]\nfactors = 20\norder = "alternate"\nintersect = true\n'
        'pairs = "all"\nbalance = 0.5\ntaste = "taste.csv"\ncomponents = 9\n'
        'distance = "cosine"\nleave_out = ["gtzan"]\n'
        '[sources.weights]\nself = 2\n[teachers]\nwise = "store"\n'
        '[optimiser]\nname = "sgd"\nrate = 0.1\nweight_decay = 0.01\nbatch = 8\nepochs = 2.5\n'
        'steps = 9\nschedule = "cosine"\nwarmup = 3\nlabel_decay = 0.5\n'
        "[augmentation]\ngain_db = 1.0\nequaliser_db = 2.0\nshift_bands = 3.0\nstretch = 0.1\n"
        "swap = 0.2\nmono = 0.3\nlowpass = 0.4\nmix = 0.5\nmask = 0.6\n"
        '[validation]\nshare = 0.2\nevery = 5\ncrops = 6\nchoose = "last"\n'
        "[network]\nwidth = 1.5\ndropout = 0.25\n"
    )
    expected = TrainConfig(
        "kim2019-ms-cr-2",
        tmp_path / "tracks.csv",
        tmp_path / "run",
        tmp_path / "mel",
        tmp_path / "old.safetensors",
        7,
        "CC0-1.0",
        "ours",
        {"wise": tmp_path / "store"},
        Sources(
            ("self", "tag"),
            20,
            "alternate",
            True,
            "all",
            0.5,
            "taste.csv",
            {"self": 2.0},
            9,
            "cosine",
            ("gtzan",),
        ),
        Optimiser("sgd", 0.1, 0.01, 8, 2.5, 9, "cosine", 3, 0.5),
        Augmentation(1.0, 2.0, 3.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
        Validation(0.2, 5, 6, "last"),
        NetworkShape(1.5, 0.25),
        3,
    )
    config = read(tmp_path, text)
    assert config == expected
    # Not one of them by chance: every value differs from the default.
    plain = read(tmp_path, LEAST)
    for field in fields(TrainConfig):
        value, default = getattr(config, field.name), getattr(plain, field.name)
        if is_dataclass(value):
            for inner in fields(value):
                assert getattr(value, inner.name) != getattr(default, inner.name), inner.name
        elif field.name not in ("extractor", "manifest", "output"):
            assert value != default, field.name


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sed = 1", r"unknown key 'sed'\. Did you mean 'seed'\?.*Known: extractor"),
        ("[optimizer]\nrate = 1.0", r"unknown key 'optimizer'\. Did you mean 'optimiser'\?"),
        ("[optimiser]\nlr = 1.0", r"run\.toml: optimiser: unknown key 'lr'.*Known: name, rate"),
        ("[sources]\nfactor = 3", r"unknown key 'factor'\. Did you mean 'factors'\?"),
        ("[augmentation]\ngain = 3", r"unknown key 'gain'\. Did you mean 'gain_db'\?"),
        ("device = 'cuda'", r"unknown key 'device'"),
    ],
)
def test_unknown_keys(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, LEAST + line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed = 1.5", r"seed = 1\.5: expected int"),
        ('seed = "1"', r"seed = '1': expected int"),
        ("seed = true", r"seed = True: expected int"),
        ("licence = 3", r"licence = 3: expected a text"),
        ("cache = 3", r"cache = 3: expected a text"),
        ('optimiser = "adam"', r"optimiser is a section: write \[optimiser\]"),
        ("validation = 3", r"validation is a section: write \[validation\]"),
        ('[sources]\nnames = "tag"', r'names = \'tag\': a list of texts, as in \["tag"'),
        ("[sources]\nnames = [1]", r"names = \[1\]: a list of texts"),
        ('[sources]\norder = "both"', r"order = 'both': one of random, alternate, together"),
        ("[sources]\norder = 1", r"order = 1: one of random"),
        ('[sources]\norder = ["random"]', r"order = \['random'\]: one of random"),
        ("[sources]\nintersect = 1", r"intersect = 1: expected bool"),
        ("[sources]\nfactors = 50.0", r"factors = 50\.0: expected int"),
        ("[optimiser]\nrate = true", r"rate = True: expected float"),
        ('[optimiser]\nname = "lamb"', r"name = 'lamb': one of adam, adamw, sgd"),
        ('[validation]\nchoose = "first"', r"choose = 'first': one of best, last"),
    ],
)
def test_wrong_types(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, LEAST + line)


TOO_MUCH = {
    "nested lists": "a = " + "[" * 100_000 + "]" * 100_000,
    "nested tables": "a = " + "{a = " * 100_000 + "1" + "}" * 100_000,
    # 40 GB in the parser.
    "a key of many parts": ".".join("a" * 100_000) + " = 1",
    "a key of many parts with blanks": " . ".join("a" * 10_000) + " = 1",
    "a section of many parts": "[" + ".".join("a" * 100_000) + "]",
    "a number of 5000 digits": "seed = " + "9" * 5000,
    "a number of 5000 hexadecimals": "seed = 0x" + "f" * 5000,
    "that in a list": "[sources]\nnames = [0x" + "f" * 5000 + "]",
    "that in a table": "[sources.weights]\na = 0x" + "f" * 5000,
    "a fraction of 5000 digits": "[optimiser]\nrate = " + "9" * 5000 + ".5",
    "an exponent without end": "[optimiser]\nrate = 1e99999999999",
    "a key of 500 kB": "x" * 500_000 + " = 1",
    "a text of 500 kB": 'seed = "' + "x" * 500_000 + '"',
    "a kind of 500 kB": '[optimiser]\nname = "' + "x" * 500_000 + '"',
    "a name of 500 kB": '[sources]\nnames = ["' + "x" * 500_000 + '", 1]',
    "100 000 names": "[sources]\nnames = [" + '"a",' * 100_000 + "]",
    "more than a megabyte": "# " + "x" * 2**20,
}


@pytest.mark.parametrize("text", TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_nobody_means_is_our_own_error_and_a_short_one(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml") as caught:
        read(tmp_path, LEAST + text)
    assert len(str(caught.value)) < 700


def test_dots_in_texts_and_comments_are_no_keys(tmp_path: Path) -> None:
    dots = "a." * 200
    text = f'# {dots}\nlicence = \'{dots}\' # {dots}\ntraining_data = """{dots}\n\\"{dots}"""\n'
    config = read(tmp_path, LEAST + text)
    assert (config.licence, config.training_data) == (dots, f'{dots}\n"{dots}')


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs names of open files")
def test_a_configuration_may_come_from_a_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, LEAST.encode())
    os.close(writing)
    try:
        assert read_config(Path(f"/dev/fd/{reading}"), DEFAULTS).extractor == "kim2019-ms-cr-2"
    finally:
        os.close(reading)


def test_a_whole_number_is_a_float_too(tmp_path: Path) -> None:
    rate = read(tmp_path, LEAST + "[optimiser]\nrate = 1").optimiser.rate
    assert type(rate) is float
    assert rate == 1.0


@pytest.mark.parametrize("name", _RANGES)
def test_ranges_hold_their_ends_and_nothing_beyond(name: str, tmp_path: Path) -> None:
    low, high = _RANGES[name]
    section, _, key = name.rpartition(".")
    head = LEAST + (f"[{section}]\n" if section else "")
    default = getattr(getattr(TrainConfig("", *[Path()] * 2), section or "sources"), key, 0)
    whole = isinstance(default, int)
    for value in (low, high):
        read(tmp_path, head + f"{key} = {int(value) if whole else float(value)!r}")
    beyond = [low - 1] if whole else [low - 1e-6 - 1e-6 * low, float("nan"), float("inf")]
    beyond += [] if name in ("seed", "repeat") else [high * 1.5]  # no TOML integer is larger
    for value in beyond:
        with pytest.raises(ConfigError, match=rf"run\.toml: {name} = .*: from "):
            read(tmp_path, head + f"{key} = {int(value) if whole else float(value)!r}")


def test_every_number_has_a_range() -> None:
    plain = TrainConfig("", Path(), Path())
    numbers = [
        f"{field.name}.{inner.name}"
        for field in fields(plain)
        if is_dataclass(section := getattr(plain, field.name))
        for inner in fields(section)
        if type(getattr(section, inner.name)) in (int, float)
    ]
    assert sorted(["seed", "repeat", *numbers]) == sorted(_RANGES)


def test_a_source_named_twice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sources\.names has one twice: tag, tag"):
        read(tmp_path, LEAST + '[sources]\nnames = ["tag", "tag"]')


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml: missing 'manifest', 'output'\."):
        read(tmp_path, 'extractor = "choi2017"\n')
    with pytest.raises(ConfigError, match=r"missing 'extractor'"):
        read(tmp_path, 'manifest = "a"\noutput = "b"\n')


@pytest.mark.parametrize("text", ["extractor = ", "{}", b"\xff\xfe", "seed = 1\nseed = 2\n"])
def test_what_is_not_toml(text: str | bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml: not a TOML file: "):
        read(tmp_path, text)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_config(tmp_path / "run.toml", DEFAULTS)
    with pytest.raises(ConfigError, match="cannot be read: "):
        read_config(tmp_path, DEFAULTS)


def of(tmp_path: Path, extractor: str, more: str = "") -> TrainConfig:
    head = f'extractor = "{extractor}"\nmanifest = "tracks.csv"\noutput = "run"\n'
    return read(tmp_path, head + more)


def test_where_the_file_is_silent_the_papers_hold(tmp_path: Path) -> None:
    # Kim 2019, section 4.2: Adam, 0.00025, 128 tracks, 200 epochs, 50 factors, L2 of 1e-6.
    kim2019 = of(tmp_path, "kim2019-mss-cr")
    assert kim2019.optimiser == Optimiser("adam", 2.5e-4, 1e-6, 128, 200.0, 0, "constant", 0)
    assert (kim2019.sources.factors, kim2019.sources.order) == (50, "random")
    # Kim 2018, section 3: Adam, 0.001, 64, 40 groups.
    for name in ("kim2018-stn", "kim2018-mtn", "kim2018-wstn"):
        kim2018 = of(tmp_path, name)
        assert (kim2018.optimiser.name, kim2018.optimiser.rate) == ("adam", 1e-3)
        assert (kim2018.optimiser.batch, kim2018.optimiser.epochs) == (64, 200.0)
        assert kim2018.sources.factors == 40
    # Twice as wide has as many parameters as four sources that share a convolution (table 5).
    assert of(tmp_path, "kim2018-wstn").network.width == 2.0
    # Choi 2017: Adam; 50 tags.
    choi2017 = of(tmp_path, "choi2017")
    assert (choi2017.optimiser.name, choi2017.sources.factors) == ("adam", 50)
    # Hamel 2013, section 3.3: batches of 100, data sets in turn.
    for name in ("hamel2013-tag", "hamel2013-genre"):
        hamel2013 = of(tmp_path, name)
        assert (hamel2013.optimiser.name, hamel2013.optimiser.batch) == ("sgd", 100)
        assert hamel2013.sources.order == "alternate"
    assert set(DEFAULTS) <= set(list_extractors())
    assert of(tmp_path, "choi2017").augmentation == Augmentation()


def test_what_the_file_says_comes_before_the_paper(tmp_path: Path) -> None:
    config = of(tmp_path, "kim2018-stn", "[optimiser]\nbatch = 8\n[sources]\norder = 'together'\n")
    assert (config.optimiser.batch, config.optimiser.rate) == (8, 1e-3)
    assert (config.sources.order, config.sources.factors) == ("together", 40)
    with pytest.raises(ConfigError, match=r"sources is a section"):
        of(tmp_path, "kim2018-stn", "sources = 3\n")


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'extractor = "choi2017"\nmanifest = "../tracks.csv"\noutput = "/elsewhere/run"\n'
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "run.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    config = read_config(Path("deep/run.toml"), DEFAULTS)
    assert config.manifest.resolve() == tmp_path / "tracks.csv"
    assert config.manifest.is_absolute()
    assert config.output == Path("/elsewhere/run")
    assert config.cache == tmp_path / "deep" / "cache"


def test_the_identity_goes_with_what_decides_the_result(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    same = replace(config, manifest=Path("a"), output=Path("b"), cache=Path("c"))
    # What is said of the weights, and which of them are written, can be changed later.
    same = replace(same, licence="MIT", training_data="ours", validation=Validation(choose="last"))
    assert same.identity == config.identity == read(tmp_path, LEAST + "seed = 0").identity
    assert len(config.identity) == 16
    others: list[TrainConfig] = [
        replace(config, extractor="kim2019-mss-cr"),
        replace(config, seed=1),
        replace(config, repeat=1),
    ]
    other_values: dict[Any, Any] = {int: 3, float: 0.123, bool: True, str: "x", tuple: ("tag",)}
    other_values |= {dict: {"tag": 2.0}}
    for name in ("sources", "optimiser", "augmentation", "validation", "network"):
        section = getattr(config, name)
        for field in fields(section):
            if (name, field.name) == ("validation", "choose"):
                continue
            value = other_values[type(getattr(section, field.name))]
            others.append(replace(config, **{name: replace(section, **{field.name: value})}))
    identities = [config.identity, *(other.identity for other in others)]
    assert len(set(identities)) == len(identities)


def test_the_record_is_json_and_has_no_path(tmp_path: Path) -> None:
    text = json.dumps(read(tmp_path, LEAST).to_dict())
    assert str(tmp_path) not in text
    assert json.loads(text)["optimiser"]["batch"] == 128
