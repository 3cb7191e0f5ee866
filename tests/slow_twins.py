"""The same computations written again, slowly, in float64 and without torch."""

import librosa
import numpy as np
from scipy.signal import correlate2d

from mirfeat.networks.choi2017_network import NORM_EPSILON, POOLS
from mirfeat.spec import DecibelScale, MelSpec


def mel_spectrogram(audio: np.ndarray, spec: MelSpec) -> np.ndarray:
    """Mel power or magnitude of (C, N), float64 (C, F, T), frame by frame."""
    audio = audio.astype(np.float64)
    if spec.centred:
        half = spec.n_fft // 2
        audio = np.pad(audio, ((0, 0), (half, half)), mode=spec.pad_mode)
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(spec.n_fft) / spec.n_fft)
    starts = range(0, audio.shape[1] - spec.n_fft + 1, spec.hop_samples)
    frames = np.stack([audio[:, s : s + spec.n_fft] * window for s in starts], axis=-1)
    strength = np.abs(np.fft.rfft(frames, axis=1)) ** spec.power
    bank = librosa.filters.mel(
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
        dtype=np.float64,
    )
    return bank @ strength


def scaled(mel: np.ndarray, spec: MelSpec, reference: float = 0.0) -> np.ndarray:
    """Decibels or logarithm of a mel spectrogram."""
    if not isinstance(spec.scaling, DecibelScale):
        return np.log(np.maximum(mel, spec.scaling.floor))
    level = 10.0 * np.log10(np.maximum(mel, spec.scaling.amin))
    if spec.scaling.reference == "checkpoint":
        return np.maximum(level - reference, -spec.scaling.floor_db)
    if spec.scaling.reference == "maximum":
        return np.maximum(level - level.max(), -spec.scaling.floor_db)
    return np.maximum(level, level.max() - spec.scaling.floor_db)


def choi2017_layers(image: np.ndarray, tensors: dict, clip_norm: bool) -> np.ndarray:
    """Layer features (5, 32) of a mel image (F, T), in the paper's literal order of steps."""
    maps, features = image[None], []
    for index, (tall, wide) in enumerate(POOLS):
        prefix = f"network.layers.{index}"
        kernel = tensors[f"{prefix}.conv.weight"]
        output = np.stack(
            [sum(correlate2d(maps[i], k[i], mode="same") for i in range(len(maps))) for k in kernel]
        )
        output += tensors[f"{prefix}.conv.bias"][:, None, None]
        if clip_norm:
            mean, variance = output.mean((1, 2)), output.var((1, 2))
        else:
            mean = tensors[f"{prefix}.norm.running_mean"]
            variance = tensors[f"{prefix}.norm.running_var"]
        output = (output - mean[:, None, None]) / np.sqrt(variance + NORM_EPSILON)[:, None, None]
        output *= tensors[f"{prefix}.norm.weight"][:, None, None]
        output += tensors[f"{prefix}.norm.bias"][:, None, None]
        output = np.where(output > 0, output, np.expm1(np.minimum(output, 0)))
        height, width = output.shape[1] // tall, output.shape[2] // wide
        output = output[:, : height * tall, : width * wide]
        maps = output.reshape(len(output), height, tall, width, wide).max((2, 4))
        features.append(maps.mean((1, 2)))
    return np.array(features)
