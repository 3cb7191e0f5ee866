"""The MFCC baseline against librosa."""

import librosa
import numpy as np
import pytest

import mirfeat


@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large")  # librosa, of short clips
@pytest.mark.parametrize("samples", [600, 1024, 12_000 * 3, 348_000])
def test_the_vector_is_the_papers_from_librosa(samples: int) -> None:
    generator = np.random.default_rng(0)
    audio = (np.cumsum(generator.standard_normal(samples)) * 0.003).astype(np.float32)
    padded = np.pad(audio, (0, max(0, 1024 - samples)))
    coefficients = librosa.feature.mfcc(y=padded.astype(np.float64), sr=12_000, n_mfcc=20)
    tracks = [np.diff(coefficients, n=order) for order in range(3)]
    expected = [track.mean(1) for track in tracks] + [track.std(1) for track in tracks]
    ours = mirfeat.load_extractor("mfcc", statistics="paper").extract(audio, 12_000)
    np.testing.assert_allclose(ours, np.concatenate(expected), rtol=1e-4, atol=1e-3)


def test_there_are_no_weights_to_choose() -> None:
    with pytest.raises(ValueError, match="mfcc has no weights"):
        mirfeat.load_extractor("mfcc", checkpoint="random")
