"""What notebooks show."""

import base64
import io
import re

import numpy as np
import pytest

import mirfeat
from mirfeat.results.notebook import picture, table


def pixels(html: str) -> np.ndarray:
    image = pytest.importorskip("matplotlib.image")
    (data,) = re.findall(r"base64,([^\"]+)", html)
    read = image.imread(io.BytesIO(base64.b64decode(data)))
    return np.asarray(read.reshape(*read.shape[:2], -1)[..., 0])


def test_a_picture_is_dark_where_a_column_is_largest() -> None:
    values = np.array([[0.0, 5.0, 1.0], [2.0, 5.0, 0.0]])
    np.testing.assert_allclose(pixels(picture(values, "x")), [[1, 1, 0], [0, 1, 1]], atol=0.01)
    upright = pixels(picture(values, "x", upright=True))
    np.testing.assert_allclose(upright, [[0, 1], [1, 1], [1, 0]], atol=0.01)


def test_a_large_picture_is_made_smaller() -> None:
    assert pixels(picture(np.random.default_rng(0).random((5000, 900)), "x")).shape == (64, 256)


def test_words_of_others_are_escaped() -> None:
    assert table((), [("<a>", "caf\udce9")]) == (
        "<table><tr><th>&lt;a&gt;</th><td>caf\\udce9</td></tr></table>"
    )


def test_extractors_and_embeddings_show_themselves() -> None:
    with mirfeat.load_extractor("hamel2013-base") as extractor:
        assert "<th>options</th>" in extractor._repr_html_()
        embedding = extractor.embed_file(mirfeat.example("folk_tavern"))
    page = embedding._repr_html_()
    assert "<th>maximum</th><td>400 to 599</td>" in page
    assert pixels(page).shape[1] == len(embedding)
