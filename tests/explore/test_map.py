"""A map of songs, and the page that shows it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mirfeat.errors import ConfigError, OptionError
from mirfeat.explore import song_map
from mirfeat.explore.map_page import build_map, write_map
from mirfeat.explore.song_map import aligned_labels, folders_of, make_map, sample
from tests.support.tables import table_of

VALUES = np.concatenate(
    [np.random.default_rng(n).normal(8 * n, 1, (8, 5)) for n in range(3)]
).astype(np.float32)
IDS = [f"{style}/{n}.ogg" for style in ("calm", "loud", "odd") for n in range(8)]


@pytest.fixture(scope="module")
def songs() -> song_map.SongMap:
    return make_map(
        table_of(VALUES, IDS), sounds=IDS, tags=[["slow", "a</script>"]] * 24, metric="l1"
    )


def data_of(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


def test_songs_that_are_alike_lie_near_each_other_and_are_neighbours(
    songs: song_map.SongMap,
) -> None:
    assert songs.labels == tuple(["calm"] * 8 + ["loud"] * 8 + ["odd"] * 8)
    assert 0 <= songs.positions.min() <= songs.positions.max() <= 1
    centres = np.stack([songs.positions[8 * n : 8 * n + 8].mean(0) for n in range(3)])
    nearest = ((songs.positions[:, None] - centres) ** 2).sum(-1).argmin(1)
    np.testing.assert_array_equal(nearest, np.repeat([0, 1, 2], 8))
    assert (songs.near // 8 == np.repeat([0, 1, 2], 8)[:, None]).all()
    assert (np.diff(songs.closeness, axis=1) >= 0).all()


def test_the_page_holds_all_of_it_and_needs_nothing_else(songs: song_map.SongMap) -> None:
    page = build_map(songs, "A <map>", "Of & for tests.")
    data = data_of(page)
    assert data["names"] == IDS
    assert data["sounds"] == IDS
    assert data["near"] == songs.near.tolist()
    assert data["tags"][0] == ["slow", "a</script>"]
    assert [group["name"] for group in data["groups"]] == ["calm", "loud", "odd"]
    assert data["group"] == np.repeat([0, 1, 2], 8).tolist()
    assert "<title>A &lt;map&gt;</title>" in page
    assert "Of &amp; for tests." in page
    # Nothing is fetched but sound.
    assert "default-src 'none'" in page.replace("&#x27;", "'")
    assert not re.search(r"<(?:script|link|img)[^>]*\b(?:src|href)=", page)
    assert page == build_map(songs, "A <map>", "Of & for tests.")


def test_a_page_is_written_whole(songs: song_map.SongMap, tmp_path: Path) -> None:
    path = write_map(tmp_path / "new" / "map.html", songs, "Map")
    assert path.read_text(encoding="utf-8") == build_map(songs, "Map")


def test_folders_are_labels_where_ids_first_differ() -> None:
    assert folders_of(["a/x/1.ogg", "a/y/2.ogg", "a/y/z/3.ogg"]) == ["x", "y", "y"]
    assert folders_of(["1.ogg", "rock/2.ogg"]) == ["", "rock"]
    assert folders_of(["1.ogg", "2.ogg"]) == ["", ""]
    assert folders_of(["a/1.ogg", "a/2.ogg"]) == ["", ""]


def test_labels_follow_ids() -> None:
    assert aligned_labels(["a", "b"], {"b": "rock"}) == ["", "rock"]
    with pytest.raises(ConfigError, match="no label belongs to a clip: ids are like 'a'"):
        aligned_labels(["a"], {"b": "rock"})


def test_a_sample_is_drawn_in_order_and_the_same_every_time() -> None:
    table = table_of(VALUES, IDS)
    assert sample(table, 24) is table
    drawn = sample(table, 10, seed=3)
    assert drawn.ids == sample(table, 10, seed=3).ids
    assert [IDS.index(id) for id in drawn.ids] == sorted(IDS.index(id) for id in drawn.ids)
    np.testing.assert_array_equal(drawn.values[4], VALUES[IDS.index(drawn.ids[4])])


def test_too_few_or_too_many_clips_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="5 clips or more"):
        make_map(table_of(VALUES[:4]))
    monkeypatch.setattr(song_map, "MOST_SONGS", 20)
    with pytest.raises(OptionError, match="at most 20 clips"):
        make_map(table_of(VALUES))
    with pytest.raises(ConfigError, match="another length"):
        make_map(table_of(VALUES[:10]), labels=["a"])
