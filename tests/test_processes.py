"""One extractor in threads, in asyncio, in processes by spawn and by fork: the same vectors."""

import asyncio
import multiprocessing
import os
import pickle
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import mirfeat
from tests.support.extractor_cases import case_name, parameters
from tests.support.sounds import music, write_wav

RATE = 22_050


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("songs")
    return [write_wav(folder / f"{n}.wav", music(0.6, RATE, seed=n), RATE) for n in range(4)]


@pytest.fixture(scope="module")
def genre() -> mirfeat.Extractor:
    return mirfeat.load_extractor("hamel2013-genre", device="cpu")


@pytest.fixture(scope="module")
def expected(genre: mirfeat.Extractor, songs: list[Path]) -> list[np.ndarray]:
    return [genre.extract(song) for song in songs]


@pytest.mark.parametrize("case", [*parameters(), ("hamel2013-tag+mfcc", None)], ids=case_name)
def test_every_extractor_comes_through_a_pickle(
    case: tuple[str, str | None], songs: list[Path]
) -> None:
    name, checkpoint = case
    extractor = mirfeat.load_extractor(name, checkpoint=checkpoint, device="cpu", max_seconds=0.5)
    again = pickle.loads(pickle.dumps(extractor))
    assert again.feature_names == extractor.feature_names
    assert again.provenance == extractor.provenance
    np.testing.assert_array_equal(again.extract(songs[0]), extractor.extract(songs[0]))


def test_one_in_less_precision_does_so_too(songs: list[Path]) -> None:
    extractor = mirfeat.load_extractor("hamel2013-tag", device="cpu", precision="bfloat16")
    again = pickle.loads(pickle.dumps(extractor))
    np.testing.assert_array_equal(again.extract(songs[0]), extractor.extract(songs[0]))


def test_threads_share_an_extractor(
    genre: mirfeat.Extractor, songs: list[Path], expected: list[np.ndarray]
) -> None:
    order = np.random.default_rng(0).integers(0, len(songs), 40)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: genre.extract(songs[index]), order))
    np.testing.assert_array_equal(found, np.stack(expected)[order])


def test_runs_in_several_threads_do_not_disturb_each_other(
    genre: mirfeat.Extractor, songs: list[Path], expected: list[np.ndarray]
) -> None:
    def run(_: int) -> list[np.ndarray | None]:
        return [result.vector for result in genre.extract_many(songs, progress=False)]

    with ThreadPoolExecutor(3) as pool:
        for vectors in pool.map(run, range(3)):
            np.testing.assert_allclose(np.stack(vectors), expected, rtol=1e-5, atol=1e-5)  # type: ignore[arg-type]


def test_tasks_of_asyncio_share_an_extractor(
    genre: mirfeat.Extractor, songs: list[Path], expected: list[np.ndarray]
) -> None:
    async def gather() -> list[np.ndarray]:
        return await asyncio.gather(*(asyncio.to_thread(genre.extract, song) for song in songs))

    np.testing.assert_array_equal(asyncio.run(gather()), expected)


def vectors_of(extractor: mirfeat.Extractor, songs: list[Path]) -> list[np.ndarray]:
    return [extractor.extract(song) for song in songs]


def test_a_spawned_process_gets_an_extractor_and_gives_the_same_vectors(
    genre: mirfeat.Extractor, songs: list[Path], expected: list[np.ndarray]
) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(vectors_of, (genre, songs)), expected)


@pytest.fixture
def several_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("several_threads")
def test_a_forked_process_goes_on_with_the_extractor_of_its_parent(songs: list[Path]) -> None:
    """The parent has computed with several threads, whose pool does not survive a fork."""
    choi = mirfeat.load_extractor("choi2017", device="cpu", layers="12")
    expected = vectors_of(choi, songs[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads
        with multiprocessing.get_context("fork").Pool(1) as pool:
            found = pool.apply_async(vectors_of, (choi, songs[:2])).get(timeout=120)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
