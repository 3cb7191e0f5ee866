"""From the rate and channels of a clip to those of an extractor, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from mirfeat.audio.reader import Reader

# A mix of channels is this much below them only where they cancel one another ...
_CANCELLED = 0.05
# ... and a clip whose mix reaches this is not looked at any more.
_AUDIBLE = 0.2


def front_pair(layout: tuple[str, ...]) -> tuple[int, int] | None:
    """Which channels are front left and right, by their names; None where nobody named them."""
    if "FL" in layout and "FR" in layout:
        return layout.index("FL"), layout.index("FR")
    return None


class Converter:
    """A stream of blocks at the clip's rate and channels to the extractor's.

    Mono is the mean of all channels. For stereo a mono clip is doubled, and of more than two
    channels front left and front right are used: by their names where the file has them, which
    containers store in different orders, and else the first two. Resampling is soxr HQ; streamed
    blocks give exactly what one call over the whole clip gives.
    """

    def __init__(self, reader: Reader, sample_rate: int, channels: int) -> None:
        """Convert what ``reader`` yields to ``channels`` (1 or 2) at ``sample_rate``."""
        self._channels, self._of = channels, reader.channels
        pair = front_pair(reader.layout)
        self._pair = None if pair == (0, 1) else pair
        self._chosen = "front left and right" if pair else "the first 2"
        self._mix_peak, self._seen = 0.0, False
        self._stream: Any = None
        if reader.sample_rate != sample_rate:
            # One channel is resampled when the two would be equal.
            resampled = min(channels, reader.channels)
            self._stream = soxr.ResampleStream(
                reader.sample_rate, sample_rate, resampled, dtype="float32", quality="HQ"
            )

    def convert(self, block: np.ndarray) -> np.ndarray:
        """Next block, float32 [C, n]; resampling holds some samples back."""
        return self._finish_block(self._resample(self._mix(block), last=False))

    def flush(self, like: np.ndarray) -> np.ndarray:
        """What resampling held back after the last block (``like`` is any block of the clip)."""
        return self._finish_block(self._resample(self._mix(like[:, :0]), last=True))

    def notes(self, peak: float) -> list[str]:
        """What is worth telling of a clip whose channels reach ``peak``, once it is through."""
        if self._channels == 2:
            return [f"{self._of} channels: used {self._chosen}"] if self._of > 2 else []
        # A single one of many channels is not cancelled, only quiet in their mean.
        if self._of > 1 and not self._seen and self._mix_peak * self._of < _CANCELLED * peak:
            return ["channels cancel in the mono mix"]
        return []

    def _mix(self, block: np.ndarray) -> np.ndarray:
        if self._channels == 2:
            return block[:2] if self._pair is None else block[list(self._pair)]
        if len(block) == 1:
            return block
        # Channel by channel, so that the order of additions does not depend on memory layout.
        total: np.ndarray = block[0] + block[1]
        for channel in block[2:]:
            total += channel
        total /= np.float32(len(block))
        if not self._seen and total.size:
            # Nearly always a few samples tell that it is audible.
            for part in (total[::64], total):
                self._mix_peak = max(self._mix_peak, float(part.max()), -float(part.min()))
                self._seen = self._mix_peak * self._of >= _AUDIBLE
                if self._seen:
                    break
        return total[None]

    def _resample(self, block: np.ndarray, *, last: bool) -> np.ndarray:
        if self._stream is None:
            return block
        interleaved = block[0] if len(block) == 1 else block.T
        output: np.ndarray = self._stream.resample_chunk(
            np.ascontiguousarray(interleaved), last=last
        )
        return output[None] if output.ndim == 1 else output.T

    def _finish_block(self, block: np.ndarray) -> np.ndarray:
        if len(block) == self._channels:
            return block
        return np.repeat(block, self._channels, axis=0)
