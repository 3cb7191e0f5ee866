"""The records: frozen, and provenance that goes through JSON and tells what differs."""

import json
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mirfeat.networks.frontend import MelSpec
from mirfeat.networks.registry import get_spec, list_extractors
from mirfeat.networks.scaling import DecibelScale, LogScale
from mirfeat.networks.spec import Checkpoint
from mirfeat.provenance import Provenance

CHOI = Provenance(
    extractor="choi2017",
    spec_version=1,
    options={
        "layers": "135",
        "statistics": ("mean", "std"),
        "hop_seconds": 29.0,
        "max_seconds": None,
        "short": "tile",
    },
    checkpoint_name="msd",
    checkpoint_sha256="ab" * 32,
    mirfeat_version="0.1.0",
    library_versions={"torch": "2.13.0", "numpy": "2.4.6"},
    device="cpu",
)
MFCC = replace(
    CHOI,
    extractor="mfcc",
    options={"statistics": ("mean",)},
    checkpoint_name=None,
    checkpoint_sha256=None,
)
BOTH = replace(
    CHOI,
    extractor="choi2017+mfcc",
    spec_version=0,
    options={},
    checkpoint_name=None,
    checkpoint_sha256=None,
    parts=(CHOI, MFCC),
)


def through_json(provenance: Provenance) -> Provenance:
    return Provenance.from_dict(json.loads(json.dumps(provenance.to_dict())))


@pytest.mark.parametrize("provenance", [CHOI, MFCC, BOTH], ids=lambda record: record.extractor)
def test_provenance_goes_through_json(provenance: Provenance) -> None:
    back = through_json(provenance)
    assert back.to_dict() == provenance.to_dict()
    assert back.differences(provenance) == []
    assert provenance.differences(back) == []
    assert [type(part) for part in back.parts] == [Provenance] * len(provenance.parts)


values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
options = st.dictionaries(st.text(), values | st.lists(values).map(tuple), max_size=5)


@settings(deadline=None)
@given(options)
def test_any_options_go_through_json(options: dict[str, Any]) -> None:
    provenance = replace(CHOI, options=options)
    back = through_json(provenance)
    assert back.to_dict() == provenance.to_dict()
    assert back.differences(provenance) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"extractor": "choi2018"}, "extractor: 'choi2018' here, 'choi2017' there"),
        ({"spec_version": 2}, "spec_version: 2 here, 1 there"),
        ({"checkpoint_sha256": None}, f"checkpoint_sha256: None here, '{'ab' * 32}' there"),
        ({"layers": "12345"}, "layers: '12345' here, '135' there"),
        ({"statistics": ("mean",)}, "statistics: ['mean'] here, ['mean', 'std'] there"),
        (
            {"statistics": ("std", "mean")},
            "statistics: ['std', 'mean'] here, ['mean', 'std'] there",
        ),
        ({"hop_seconds": 14.5}, "hop_seconds: 14.5 here, 29.0 there"),
        ({"max_seconds": 29}, "max_seconds: 29 here, None there"),
        ({"sources": ("tag",)}, "sources: ['tag'] here, None there"),
        ({"short": None}, "short: None here, 'tile' there"),
    ],
)
def test_each_difference_is_one_line(change: dict[str, Any], line: str) -> None:
    names = {field.name for field in fields(Provenance)}
    own = {key: value for key, value in change.items() if key in names}
    options = {**CHOI.options, **{key: value for key, value in change.items() if key not in names}}
    assert replace(CHOI, **{"options": options, **own}).differences(CHOI) == [line]


def test_differences_are_told_from_both_sides() -> None:
    other = replace(CHOI, options={"layers": "5"}, spec_version=2)
    here, there = other.differences(CHOI), CHOI.differences(other)
    assert "layers: '5' here, '135' there" in here
    assert "layers: '135' here, '5' there" in there
    assert "short: None here, 'tile' there" in here
    assert sorted(line.split(":")[0] for line in here) == sorted(
        line.split(":")[0] for line in there
    )


def test_order_of_options_and_kind_of_sequence_are_no_differences() -> None:
    turned = dict(reversed(list(CHOI.options.items())))
    turned["statistics"] = list(turned["statistics"])
    assert replace(CHOI, options=turned).differences(CHOI) == []


@pytest.mark.parametrize(
    "change",
    [
        {"checkpoint_name": "weights.hdf5"},
        {"mirfeat_version": "0.2.0"},
        {"library_versions": {"torch": "3.0"}},
        {"device": "cuda:0"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_moves_numbers_within_tolerances_only_is_no_difference(change: dict[str, Any]) -> None:
    assert replace(CHOI, **change).differences(CHOI) == []


def test_every_field_is_compared_or_known_not_to_matter() -> None:
    ignored = {"checkpoint_name", "mirfeat_version", "library_versions", "device"}
    names = {field.name for field in fields(Provenance)}
    assert names == {*Provenance.COMPARED, "parts", *ignored}


def test_a_difference_in_a_part_names_the_part() -> None:
    changed = replace(MFCC, options={"statistics": ("std",)})
    other = replace(BOTH, parts=(CHOI, changed))
    assert BOTH.differences(other) == ["mfcc: statistics: ['mean'] here, ['std'] there"]


def test_parts_in_another_order_are_a_difference() -> None:
    assert BOTH.differences(replace(BOTH, parts=(MFCC, CHOI)))


@pytest.mark.parametrize("parts", [(), (CHOI,), (CHOI, MFCC, MFCC)])
def test_another_number_of_parts_is_a_difference(parts: tuple[Provenance, ...]) -> None:
    line = f"parts: 2 here, {len(parts)} there"
    assert BOTH.differences(replace(BOTH, parts=parts)) == [line]


def records() -> Iterator[Any]:
    yield from (CHOI, LogScale(), DecibelScale("unity"))
    for name in list_extractors():
        spec = get_spec(name)
        yield from (spec, spec.mel, spec.segment, spec.paper, *spec.checkpoints, *spec.formats)


@pytest.mark.parametrize("record", tuple(records()), ids=lambda record: type(record).__name__)
def test_records_cannot_be_changed(record: Any) -> None:
    for field in fields(record):
        with pytest.raises(FrozenInstanceError):
            setattr(record, field.name, None)


MEL = MelSpec(
    sample_rate=12_000,
    channels=1,
    n_fft=512,
    hop_samples=256,
    n_mels=96,
    fmax_hz=6000.0,
    scaling=DecibelScale("unity"),
)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("samples", [512, 513, 767, 768, 10_000, 348_000])
def test_frames_are_those_of_the_transform(centred: bool, samples: int) -> None:
    spec = replace(MEL, centred=centred)
    spectrum = torch.stft(
        torch.zeros(samples),
        spec.n_fft,
        spec.hop_samples,
        window=torch.ones(spec.n_fft),
        center=centred,
        pad_mode="constant",
        return_complex=True,
    )
    assert spec.frames(samples) == spectrum.shape[-1]


def test_choi2017_has_1360_frames() -> None:
    spec = get_spec("choi2017")
    assert spec.mel.frames(spec.segment.samples) == 1360


@pytest.mark.parametrize("name", list_extractors())
def test_an_extractor_has_weights_if_it_can_draw_random_ones(name: str) -> None:
    spec = get_spec(name)
    assert spec.has_weights == (spec.initialise is not None)
    assert spec.has_weights or not (spec.checkpoints or spec.formats)


def test_published_checkpoints_are_pinned() -> None:
    checkpoints = [c for name in list_extractors() for c in get_spec(name).checkpoints]
    assert checkpoints
    for checkpoint in checkpoints:
        assert checkpoint.location.startswith(("https://", "pip:"))
        assert checkpoint.location.endswith(f"/{checkpoint.filename}")
        assert len(bytes.fromhex(checkpoint.sha256)) == 32
        assert len(bytes.fromhex(checkpoint.identity)) == 32
        assert checkpoint.size_bytes > 0
        assert checkpoint.licence
        assert checkpoint.training_data


def test_no_two_published_checkpoints_are_taken_for_one_another() -> None:
    for name in list_extractors():
        checkpoints = get_spec(name).checkpoints
        assert len({checkpoint.identity for checkpoint in checkpoints}) == len(checkpoints)


def test_the_cached_file_keeps_its_published_name() -> None:
    checkpoint = Checkpoint("a", "https://x.org/y/z.hdf5", "", 0, "", "", "")
    assert checkpoint.filename == "z.hdf5"
