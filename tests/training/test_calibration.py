"""Population statistics from a folder of music, end to end."""

from pathlib import Path

import numpy as np
import pytest

import mirfeat
from mirfeat.errors import ConfigError, OptionError
from mirfeat.training.calibration import calibrate


@pytest.fixture(scope="module")
def sources(music: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two folders of music, and one unreadable file in the second."""
    folders = []
    for style in ("electronic", "metal"):
        folder = tmp_path_factory.mktemp(style)
        for path in sorted(music.glob(f"{style}_*.opus"))[:2]:
            (folder / path.name).write_bytes(path.read_bytes())
        folders.append(folder)
    (folders[1] / "broken.wav").write_text("no audio")
    return [str(folder) for folder in folders]


def test_a_calibrated_checkpoint_loads_and_normalises_its_music(
    sources: list[str], tmp_path: Path
) -> None:
    result = calibrate(sources, "random:1", segments=4)
    path = tmp_path / "mine.safetensors"
    result.write(path)
    extractor = mirfeat.load_extractor("choi2017", checkpoint=path)
    assert np.isfinite(extractor.extract_file(next(Path(sources[0]).iterdir()))).all()
    assert sum(result.record["provenance"]["segments"].values()) in (3, 4)
    assert len(result.record["layers"]) == 5
    assert all(min(layer["variance"]) > 0 for layer in result.record["layers"])


def test_the_same_arguments_give_the_same_numbers_and_others_do_not(sources: list[str]) -> None:
    first = calibrate(sources, "random", segments=2, seed=3)
    assert calibrate(sources, "random", segments=2, seed=3).record == first.record
    assert calibrate(sources[:1], "random", segments=2).record["layers"] != first.record["layers"]


def test_statistics_alone_are_json(sources: list[str], tmp_path: Path) -> None:
    result = calibrate(sources[:1], "random", segments=1)
    result.write(tmp_path / "statistics.json")
    assert "db_reference" in (tmp_path / "statistics.json").read_text()
    with pytest.raises(ConfigError, match=r"\.safetensors or \.json"):
        result.write(tmp_path / "statistics.txt")


def test_music_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no audio files"):
        calibrate([str(tmp_path)], "random")
    (tmp_path / "broken.wav").write_text("no audio")
    with pytest.raises(ConfigError, match="none of the files"):
        calibrate([str(tmp_path)], "random")
