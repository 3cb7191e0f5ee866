"""choi2017 on a decoded clip of 29 s: the authors' way, written naively, and ours.

The authors ran one network per layer, each from the spectrogram on, unfused, one clip at a time.
"""

from __future__ import annotations

from functools import partial

import torch

from benchmarks.tables import medians, print_machine, print_table
from mirfeat.networks import choi2017
from mirfeat.networks.checkpoint import Weights, fill
from mirfeat.networks.choi2017_network import Choi2017
from mirfeat.networks.frontend import Frontend


class Naive:
    """Five networks for five layers, in the literal order of the paper."""

    def __init__(self, weights: Weights) -> None:
        """Networks with the weights of all layers."""
        self.frontend, self.network = Frontend(choi2017.MEL), Choi2017()
        fill({"frontend": self.frontend, "network": self.network}, weights)
        self.network.eval()

    def all_layers_in_one_pass(self, audio: torch.Tensor) -> torch.Tensor:
        """One network, but unfused."""
        image, means = self.frontend(audio), []
        for block in self.network.blocks:
            image = block(image)
            means.append(image.mean((2, 3)))
        return torch.cat(means, 1)

    def a_network_per_layer(self, audio: torch.Tensor) -> torch.Tensor:
        """The authors' script: the k-th network runs k blocks."""
        means = []
        for depth in range(1, 6):
            image = self.frontend(audio)
            for block in self.network.blocks[:depth]:
                image = block(image)
            means.append(image.mean((2, 3)))
        return torch.cat(means, 1)


@torch.inference_mode()
def main() -> None:
    """Print the tables."""
    weights = choi2017.initialise(0)
    naive = Naive(weights)
    options = {"layers": "12345", "batch_norm": "population"}
    ours, shallow = (choi2017.build(weights, {**options, "layers": k}) for k in ("12345", "12"))
    audio = torch.randn(1, 1, choi2017.SEGMENT.samples) * 0.1
    frontend = Frontend(choi2017.MEL)
    seconds = medians(
        {
            "a network per layer, unfused (the authors' way)": lambda: naive.a_network_per_layer(
                audio
            ),
            "one pass, unfused": lambda: naive.all_layers_in_one_pass(audio),
            "mirfeat, layers 12345": lambda: ours(audio),
            "mirfeat, layers 12": lambda: shallow(audio),
            "the front end alone": lambda: frontend(audio),
        }
    )
    first = next(iter(seconds.values()))
    rows = [(name, f"{1e3 * t:.1f}", f"{first / t:.1f}x") for name, t in seconds.items()]
    print_table("Front end + network, 29 s clip in memory", ("way", "ms", "speed"), rows)
    difference = (ours(audio)[0] - naive.a_network_per_layer(audio)).abs().max()
    print(f"\nLargest difference between the first and the third: {difference:.1e}")

    batches = {size: audio.repeat(size, 1, 1) for size in (1, 2, 4, 8, 16)}
    seconds = medians(
        {str(size): partial(ours, batch) for size, batch in batches.items()}, rounds=7
    )
    rows = [(size, f"{1e3 * t / int(size):.1f}", "") for size, t in seconds.items()]
    print_table("Batch size on the CPU", ("segments", "ms a segment"), [row[:2] for row in rows])


if __name__ == "__main__":
    print_machine()
    main()
