"""One name twice: each part with options of its own, in every place that takes a name."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import mirfeat
from mirfeat.adapters.scikit_learn import AudioFeatures
from mirfeat.cli import main
from mirfeat.distributed.devices import extract_on_devices
from mirfeat.errors import OptionError, ProvenanceError
from mirfeat.evaluation.inputs import from_table
from mirfeat.explore.same_way import load_same
from mirfeat.networks.options import Part, parts_of
from mirfeat.store.reading import load_features
from mirfeat.store.record import StoreInfo
from tests.support.sounds import music, write_wav

RATE = 22_050
SOURCES = "kim2019-ss-r(sources=self)+kim2019-ss-r(sources=bpm)"
HOPS = "mfcc(hop_seconds=0.5)+mfcc"


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("songs")
    return [write_wav(folder / f"{n}.wav", music(1.3, RATE, seed=n), RATE) for n in range(3)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mfcc", [("mfcc", {})]),
        ("a + b", [("a", {}), ("b", {})]),
        ("a(x=1)+b", [("a", {"x": "1"}), ("b", {})]),
        ("a(x=1,2, y=c+d(e))", [("a", {"x": "1,2", "y": "c+d(e)"})]),
        ("a(hop-seconds=0.5)", [("a", {"hop_seconds": "0.5"})]),
        ("a(checkpoint=hf://o/r@b=c)", [("a", {"checkpoint": "hf://o/r@b=c"})]),
    ],
)
def test_a_name_is_read_as_parts(name: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parts_of(name) == [Part(*part) for part in expected]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mfcc(hop_seconds=1", "brackets that do not belong together"),
        ("mfcc)", "brackets that do not belong together"),
        ("mfcc(hop_seconds=1)x", "options stand at the end"),
        ("mfcc()", "'' is no option=value"),
        ("mfcc(short)", "'short' is no option=value"),
        ("mfcc(short=tile,short=error)", "short is given twice"),
        ("mfcc(hop_second=1)", "no option 'hop_second'. Did you mean 'hop_seconds'"),
        ("mfcc(short=never)+mfcc", "short='never'"),
        ("mfcc(device=cpu)+mfcc", "device is the same for all parts"),
        ("mfcc(max_seconds=3)", "max_seconds is the same for all parts"),
        ("mfcc+mfcc", r"mfcc twice, in the same way.*'mfcc\(checkpoint=random:1\)\+mfcc'"),
        ("mfcc(hop_seconds=29)+mfcc", "mfcc twice, in the same way"),
    ],
)
def test_what_means_nothing_is_refused(name: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        mirfeat.load_extractor(name, device="cpu")


def test_joining_by_hand_knows_the_same_rule() -> None:
    mfcc = mirfeat.load_extractor("mfcc", device="cpu")
    with pytest.raises(OptionError, match="twice, in the same way"):
        mirfeat.concatenate(mfcc, mirfeat.load_extractor("mfcc", device="cpu"))


def test_two_sources_of_one_network_stand_side_by_side(songs: list[Path]) -> None:
    joined = mirfeat.load_extractor(SOURCES, device="cpu")
    alone = [
        mirfeat.load_extractor("kim2019-ss-r", sources=source, device="cpu")
        for source in ("self", "bpm")
    ]
    vector = np.concatenate([extractor.extract(songs[0]) for extractor in alone])
    assert_array_equal(joined.extract(songs[0]), vector)
    assert_array_equal(mirfeat.concatenate(*alone).extract(songs[0]), vector)
    assert len(set(joined.feature_names)) == joined.dimension == 1024
    assert joined.feature_names[0] == "kim2019-ss-r.self.000.mean"
    assert joined.feature_names[-1] == "kim2019-ss-r#2.bpm.255.std"
    assert [part.options["sources"] for part in joined.provenance.parts] == ["self", "bpm"]


def test_two_checkpoints_of_one_network_do_too(songs: list[Path]) -> None:
    name = "hamel2013-tag(checkpoint=random:1)+hamel2013-tag"
    joined = mirfeat.load_extractor(name, checkpoint="random:2", device="cpu")
    drawn = [
        mirfeat.load_extractor("hamel2013-tag", checkpoint=f"random:{seed}", device="cpu")
        for seed in (1, 2)
    ]
    vector = np.concatenate([extractor.extract(songs[0]) for extractor in drawn])
    assert_array_equal(joined.extract(songs[0]), vector)
    names = [part.checkpoint_name for part in joined.provenance.parts]
    assert names == ["random:1", "random:2"]
    assert len(set(joined.feature_names)) == joined.dimension


def test_a_folder_of_them_is_gone_on_with_and_remade(songs: list[Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    joined = mirfeat.load_extractor(HOPS, device="cpu")
    joined.extract_to(store, songs[:2], root=songs[0].parent)
    again = mirfeat.load_extractor(HOPS, device="cpu")
    report = again.extract_to(store, songs)
    assert (report.done, report.skipped) == (1, 2)
    table = load_features(store)
    assert_array_equal(table.aligned(["0.wav"])[0], joined.extract(songs[0]))
    assert table.feature_names == joined.feature_names
    # In another order, or with another hop, it is another vector.
    for other in ("mfcc+mfcc(hop_seconds=0.5)", "mfcc(hop_seconds=0.25)+mfcc"):
        with pytest.raises(ProvenanceError, match="hop_seconds"):
            mirfeat.load_extractor(other, device="cpu").extract_to(store, songs)
    same = load_same(table.provenance, device="cpu")
    assert_array_equal(same.extract(songs[2]), table.aligned(["2.wav"])[0])
    # Columns of the two are told apart.
    assert list(from_table(table).blocks)[:2] == ["mfcc.coefficient", "mfcc.delta"]
    assert "mfcc#2.delta" in from_table(table).blocks


def test_the_command_and_the_transformer_take_such_names(songs: list[Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    line = ["extract", str(songs[0].parent), "-m", HOPS, "-o", str(store), "-q", "--device", "cpu"]
    assert main(line) == 0
    assert main(line) == 0
    table = load_features(store)
    expected = mirfeat.load_extractor(HOPS, device="cpu").extract(songs[1])
    assert_array_equal(table.aligned(["1.wav"])[0], expected)
    parts = StoreInfo.read(store).provenance.parts
    assert [part.options["hop_seconds"] for part in parts] == [0.5, 29.0]
    features = AudioFeatures(HOPS, device="cpu")
    assert_array_equal(features.transform([songs[1]])[0], expected)
    assert features.get_feature_names_out()[120] == "mfcc#2.coefficient.00.mean"
    assert main([*line[:3], "mfcc+mfcc", *line[4:]]) == 2


@pytest.mark.slow
def test_several_processes_take_such_names(songs: list[Path], tmp_path: Path) -> None:
    report = extract_on_devices(songs, tmp_path / "store", HOPS, ("cpu", "cpu"))
    assert report.done == 3
    expected = mirfeat.load_extractor(HOPS, device="cpu").extract(songs[1])
    assert_array_equal(load_features(tmp_path / "store").aligned(["1.wav"])[0], expected)
