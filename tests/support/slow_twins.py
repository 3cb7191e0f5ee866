"""The same computations written again, slowly, in float64 and without torch."""

import librosa
import numpy as np
from scipy.signal import correlate2d

from mirfeat.networks.choi2017_network import NORM_EPSILON, POOLS
from mirfeat.networks.frontend import MelSpec
from mirfeat.networks.scaling import DecibelScale


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
        kernel, bias = tensors[f"{prefix}.conv.weight"], tensors[f"{prefix}.conv.bias"]
        output = convolved(maps, kernel, bias, stride=1)
        if clip_norm:
            mean, variance = output.mean((1, 2)), output.var((1, 2))
        else:
            mean = tensors[f"{prefix}.norm.running_mean"]
            variance = tensors[f"{prefix}.norm.running_var"]
        output = (output - mean[:, None, None]) / np.sqrt(variance + NORM_EPSILON)[:, None, None]
        output *= tensors[f"{prefix}.norm.weight"][:, None, None]
        output += tensors[f"{prefix}.norm.bias"][:, None, None]
        maps = pooled(elu(output), tall, wide)
        features.append(maps.mean((1, 2)))
    return np.array(features)


def convolved(maps: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """'Same' correlation of (C, T, F) with (out, C, k, k), strided in time."""
    output = np.stack(
        [sum(correlate2d(maps[i], k[i], mode="same") for i in range(len(maps))) for k in kernel]
    )
    return output[:, ::stride] + bias[:, None, None]


def pooled(maps: np.ndarray, tall: int, wide: int) -> np.ndarray:
    """Maximum over blocks of (T, F); what does not fill a block is left out."""
    height, width = maps.shape[1] // tall, maps.shape[2] // wide
    cut = maps[:, : height * tall, : width * wide]
    return cut.reshape(len(cut), height, tall, width, wide).max((2, 4))


def normalised(x: np.ndarray, tensors: dict, prefix: str, epsilon: float) -> np.ndarray:
    """Batch norm with stored statistics over the first axis of ``x``."""
    shape = (-1,) + (1,) * (x.ndim - 1)
    names = ("running_mean", "running_var", "weight", "bias")
    mean, variance, gamma, beta = (tensors[f"{prefix}.{name}"].reshape(shape) for name in names)
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def kim2019_feature(image: np.ndarray, tensors: dict, stage_names: list[str]) -> np.ndarray:
    """Feature (256,) of an image (2, F, T); ``stage_names`` are the prefixes of the 12 stages."""
    maps = image.transpose(0, 2, 1)
    for index, name in enumerate(stage_names[:7]):
        kernel, bias = tensors[f"{name}.conv.weight"], tensors[f"{name}.conv.bias"]
        maps = convolved(maps, kernel, bias, stride=2 if index == 0 else 1)
        maps = np.maximum(normalised(maps, tensors, f"{name}.bn", 1e-5), 0.0)
        if index < 5:
            maps = pooled(maps, 2, 2)
    dense = stage_names[8]
    hidden = tensors[f"{dense}.weight"] @ maps.mean((1, 2)) + tensors[f"{dense}.bias"]
    return np.maximum(normalised(hidden, tensors, stage_names[9], 1e-5), 0.0)


def kim2018_feature(image: np.ndarray, tensors: dict, stage_names: list[str]) -> np.ndarray:
    """Feature (256,) of an image (1, F, T); ``stage_names`` are the prefixes of the 14 stages."""
    maps = image.transpose(0, 2, 1)
    pools = {0: (1, 2), 2: (2, 2), 4: (2, 2), 5: (2, 2), 7: (2, 2), 8: (1, 1), 9: (1, 1)}
    for index, pool in pools.items():
        name = stage_names[index]
        kernel = tensors[f"{name}.conv.weight"]
        bias = tensors.get(f"{name}.conv.bias", np.zeros(len(kernel)))
        maps = convolved(maps, kernel, bias, stride=1)
        if f"{name}.bn.weight" in tensors:
            maps = normalised(maps, tensors, f"{name}.bn", 1e-4)
        maps = pooled(elu(maps), *pool)
    hidden = normalised(maps.mean((1, 2)), tensors, stage_names[11], 1e-4)
    hidden = tensors[f"{stage_names[13]}.weight"] @ hidden
    return elu(normalised(hidden, tensors, stage_names[14], 1e-4))


def musicnn_layers(image: np.ndarray, tensors: dict) -> dict[str, np.ndarray]:
    """Rows by layer of an image (F, T), in the literal order of ``musicnn/models.py``."""
    image = normalised(image[None], tensors, "network.image_norm", 1e-3)[0]

    def front(name: str) -> np.ndarray:
        kernel = tensors[f"network.{name}.conv.weight"][:, 0]
        taps = kernel.shape[2]
        padded = np.pad(image, ((0, 0), ((taps - 1) // 2, taps // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[1:])
        maps = np.einsum("bthw,khw->kbt", windows, kernel, optimize=True)
        maps = np.maximum(maps + tensors[f"network.{name}.conv.bias"][:, None, None], 0.0)
        return normalised(maps, tensors, f"network.{name}.norm", 1e-3).max(1)

    def middle(name: str, maps: np.ndarray) -> np.ndarray:
        kernel = tensors[f"network.{name}.conv.weight"]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(maps, ((0, 0), (3, 3))), 7, axis=1
        )
        output = np.einsum("ctw,kcw->kt", windows, kernel, optimize=True)
        output = np.maximum(output + tensors[f"network.{name}.conv.bias"][:, None], 0.0)
        return normalised(output, tensors, f"network.{name}.norm", 1e-3)

    maps = {"timbral": np.concatenate([front("timbral.0"), front("timbral.1")])}
    maps["temporal"] = np.concatenate([front(f"temporal.{n}") for n in range(3)])
    both = np.concatenate([maps["timbral"], maps["temporal"]])
    maps["cnn1"] = middle("middle.0", both)
    maps["cnn2"] = middle("middle.1", maps["cnn1"]) + maps["cnn1"]
    maps["cnn3"] = middle("middle.2", maps["cnn2"]) + maps["cnn2"]
    every = np.concatenate([both, maps["cnn1"], maps["cnn2"], maps["cnn3"]])
    rows = {name: layer.mean(1) for name, layer in maps.items()}
    rows |= {"mean_pool": every.mean(1), "max_pool": every.max(1)}
    pools = np.stack([rows["max_pool"], rows["mean_pool"]], axis=1).reshape(-1)
    pools = normalised(pools, tensors, "network.pool_norm", 1e-3)
    hidden = tensors["network.dense.weight"] @ pools + tensors["network.dense.bias"]
    rows["penultimate"] = normalised(np.maximum(hidden, 0.0), tensors, "network.dense_norm", 1e-3)
    logits = tensors["network.head.weight"] @ rows["penultimate"] + tensors["network.head.bias"]
    rows["taggram"] = 1.0 / (1.0 + np.exp(-logits))
    return rows
