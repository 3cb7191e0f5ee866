"""torchvggish of the package index, as its README calls it, with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peer_workers.protocol import Vectors, serve


def load(options: Sequence[str]) -> Vectors:
    """The network without its last step, whose parameters would be downloaded too."""
    from torchvggish import torchvggish, vggish_input  # type: ignore[import-not-found]

    model = torchvggish._vgg(postprocess=False)
    model.eval()

    def vector(path: str) -> Any:
        # Its README has no torch.no_grad().
        return model.forward(vggish_input.wavfile_to_examples(path)).detach().numpy()

    return lambda paths: [vector(path) for path in paths]


if __name__ == "__main__":
    serve(load, ("torchvggish", "torch", "resampy", "numpy"))
