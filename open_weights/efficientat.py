"""The teacher mn04_as of EfficientAT: what AudioSet calls music, instruments and voices.

F. Schmid, K. Koutini, G. Widmer: Efficient large-scale audio tagging via transformer-to-CNN
knowledge distillation. ICASSP 2023. Weights: MIT, (c) 2022 Florian Schmid. Trained on AudioSet,
whose audio is not open. The network is torchvision's MobileNetV3-large, width 0.4, with one channel
for input and sigmoid in place of hard sigmoid. Letters in shapes: B windows, N samples, T frames of
the last map.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

RATE = 32_000
# It was trained on windows of 10 s; a frame of its last map is 32 frames of 10 ms.
WINDOW = 10 * RATE
FRAMES_A_STRETCH = 8
STRETCH_SECONDS = 2.5
SIZE = 384
CLASSES = 527
_EPSILON = 1e-3
_FFT, _HOP, _WINDOW, _BANDS, _TOP_HZ = 1024, 320, 800, 128, 15_000.0
# Kernel, stride, squeeze-excitation, hardswish instead of ReLU.
_BLOCKS = (
    (3, 1, False, False),
    (3, 2, False, False),
    (3, 1, False, False),
    (5, 2, True, False),
    (5, 1, True, False),
    (5, 1, True, False),
    (3, 2, False, True),
    (3, 1, False, True),
    (3, 1, False, True),
    (3, 1, False, True),
    (3, 1, True, True),
    (3, 1, True, True),
    (5, 2, True, True),
    (5, 1, True, True),
    (5, 1, True, True),
)  # fmt: skip

_Tensors = Mapping[str, Tensor]


def _convolution(tensors: _Tensors, name: str, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """The convolution ``name.0`` with the batch norm ``name.1`` folded in."""
    kernel = tensors[f"{name}.0.weight"]
    scale = tensors[f"{name}.1.weight"] / (tensors[f"{name}.1.running_var"] + _EPSILON).sqrt()
    layer = nn.Conv2d(
        kernel.shape[1] * groups,
        kernel.shape[0],
        kernel.shape[2],
        stride,
        kernel.shape[2] // 2,
        groups=groups,
    )
    layer.weight.data = kernel * scale[:, None, None, None]
    assert layer.bias is not None
    layer.bias.data = tensors[f"{name}.1.bias"] - tensors[f"{name}.1.running_mean"] * scale
    return layer


def _dense(tensors: _Tensors, name: str) -> nn.Linear:
    weight = tensors[f"{name}.weight"]
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = weight, tensors[f"{name}.bias"]
    return layer


class _Excitation(nn.Module):
    """Each channel times what the means of all say of it."""

    def __init__(self, tensors: _Tensors, name: str) -> None:
        super().__init__()
        self.squeeze = _dense(tensors, f"{name}.fc1")
        self.excite = _dense(tensors, f"{name}.fc2")

    def forward(self, maps: Tensor) -> Tensor:
        squeezed = self.squeeze(maps.mean((2, 3))).relu()
        factors: Tensor = self.excite(squeezed).sigmoid()
        return maps * factors[:, :, None, None]


class _Block(nn.Module):
    """An inverted residual block of MobileNetV3."""

    def __init__(
        self, tensors: _Tensors, name: str, kernel: int, stride: int, squeezed: bool, hard: bool
    ) -> None:
        super().__init__()
        activation = nn.Hardswish if hard else nn.ReLU
        layers: list[nn.Module] = []
        # The first block does not widen.
        expands = f"{name}.{3 if squeezed else 2}.0.weight" in tensors
        if expands:
            layers += [_convolution(tensors, f"{name}.0"), activation()]
        at = int(expands)
        channels = tensors[f"{name}.{at}.0.weight"].shape[0]
        layers += [_convolution(tensors, f"{name}.{at}", stride, channels), activation()]
        if squeezed:
            at += 1
            layers.append(_Excitation(tensors, f"{name}.{at}.conc_se_layers.0"))
        last = _convolution(tensors, f"{name}.{at + 1}")
        self.layers = nn.Sequential(*layers, last)
        first = layers[0]
        assert isinstance(first, nn.Conv2d)
        self.adds = stride == 1 and first.in_channels == last.out_channels

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = self.layers(maps)
        return maps + out if self.adds else out


def _filterbank() -> Tensor:
    """Kaldi's triangles: 128 bands from 0 to 15 kHz, equally wide in mel, on 512 bins."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log(1.0 + hertz / 700.0)

    bins = mel(torch.arange(_FFT // 2) * (RATE / _FFT))
    width = mel(torch.tensor(_TOP_HZ)) / (_BANDS + 1)
    left = torch.arange(_BANDS)[:, None] * width
    up, down = (bins - left) / width, (left + 2 * width - bins) / width
    bank = torch.zeros(_BANDS, _FFT // 2 + 1)
    bank[:, :-1] = torch.minimum(up, down).clamp(min=0.0)
    return bank


class EfficientAT(nn.Module):
    """mn04_as for inference, as the published weights have it."""

    def __init__(self, weights: Path) -> None:
        """Read ``weights``: the published tensors, as safetensors."""
        super().__init__()
        tensors = load_file(weights)
        blocks = (
            _Block(tensors, f"features.{number}.block", *block)
            for number, block in enumerate(_BLOCKS, start=1)
        )
        self.trunk = nn.Sequential(
            _convolution(tensors, "features.0", 2),
            nn.Hardswish(),
            *blocks,
            _convolution(tensors, f"features.{len(_BLOCKS) + 1}"),
            nn.Hardswish(),
        )
        self.dense = _dense(tensors, "classifier.2")
        self.head = _dense(tensors, "classifier.5")
        window = torch.zeros(_FFT)
        edge = (_FFT - _WINDOW) // 2
        window[edge : edge + _WINDOW] = torch.hann_window(_WINDOW, periodic=False)
        self.register_buffer("window", window)
        self.register_buffer("bank", _filterbank())
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def image(self, audio: Tensor) -> Tensor:
        """Mel image [B, 1, 128, T] of audio [B, N] at 32 kHz, mono."""
        audio = audio[:, 1:] - 0.97 * audio[:, :-1]
        spectrum = torch.stft(
            audio, _FFT, _HOP, window=self.get_buffer("window"), return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return ((torch.log(self.get_buffer("bank") @ power + 1e-5) + 4.5) / 5.0)[:, None]

    def embeddings(self, audio: Tensor) -> Tensor:
        """Means over stretches of 2.5 s of the last map, [B, 4, 384], of windows of 10 s."""
        image = self.image(audio).contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.trunk(image).mean(2)
        stretches = maps.shape[2] // FRAMES_A_STRETCH
        cut = maps[:, :, : stretches * FRAMES_A_STRETCH]
        means: Tensor = cut.reshape(*cut.shape[:2], stretches, FRAMES_A_STRETCH).mean(3)
        return means.transpose(1, 2)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Logits [..., 527] of AudioSet's classes. Probabilities are low in level: use logits."""
        logits: Tensor = self.head(nn.functional.hardswish(self.dense(embeddings)))
        return logits
