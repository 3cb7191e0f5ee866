"""Fine-tune choi2017 on labels of your own, and see whether it beats the frozen features.

The labels here are whether a tone glides up or down, by a tone or two, under noise: nothing that
tags say. Sounds are synthesised, so nothing is downloaded. First a classifier is trained on the
frozen features of the last layer, then all layers and the classifier together.

    python examples/fine_tune.py
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import mirfeat


def glide(down: bool, rate: int, generator: np.random.Generator) -> np.ndarray:
    """Three seconds of a tone that glides again and again, float32 (N,)."""
    time = np.arange(3 * rate) / rate
    period = generator.uniform(0.4, 1.2)
    way = time % period / period
    octaves = generator.uniform(0.15, 0.35) * (1.0 - way if down else way)
    frequency = generator.uniform(150.0, 600.0) * 2.0**octaves
    phase = 2.0 * np.pi * np.cumsum(frequency) / rate
    sound = generator.normal(0.0, generator.uniform(0.1, 0.4), len(time))
    for overtone in range(1, 6):
        sound += generator.uniform(0.3, 1.0) / overtone * np.sin(overtone * phase)
    scaled: np.ndarray = (0.3 * sound / np.abs(sound).max()).astype(np.float32)
    return scaled


def glides(count: int, rate: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples [count, 1, N] and labels [count]: 0 up, 1 down, as many of each."""
    generator = np.random.default_rng(seed)
    sounds = [glide(bool(index % 2), rate, generator) for index in range(count)]
    return torch.from_numpy(np.stack(sounds))[:, None], torch.arange(count) % 2


def on_frozen(features: nn.Module, samples: torch.Tensor, labels: torch.Tensor) -> nn.Sequential:
    """The features, standardised, and a linear layer on top that was trained on them."""
    with torch.no_grad():
        vectors = torch.cat([features(part) for part in torch.split(samples, 8)])
    norm = nn.BatchNorm1d(vectors.shape[1], affine=False)
    norm.running_mean, norm.running_var = vectors.mean(0), vectors.var(0)
    fitted = LogisticRegression(max_iter=1000).fit(norm.eval()(vectors).numpy(), labels.numpy())
    head = nn.Linear(vectors.shape[1], 1)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(fitted.coef_))
        head.bias.copy_(torch.from_numpy(fitted.intercept_))
    return nn.Sequential(features, norm, head)


def fine_tune(
    model: nn.Sequential, samples: torch.Tensor, labels: torch.Tensor, epochs: int
) -> None:
    """Train everything in ``model`` but the norm's statistics."""
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-4)
    generator = torch.Generator().manual_seed(0)
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(samples), generator=generator)
        for part in torch.split(order, 8):
            guesses = model(samples[part])[:, 0]
            loss = nn.functional.binary_cross_entropy_with_logits(guesses, labels[part].float())
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item() * len(part)
        print(f"epoch {epoch + 1}: loss {total / len(samples):.3f}", flush=True)


def accuracy(model: nn.Module, samples: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of sounds whose label is guessed."""
    with torch.no_grad():
        guesses = torch.cat([model(part)[:, 0] for part in torch.split(samples, 8)]) > 0
    return float((guesses == labels.bool()).float().mean())


def main(argv: list[str] | None = None) -> tuple[float, float]:
    """Print both accuracies; return them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--train", type=int, default=64, help="sounds to learn from")
    parser.add_argument("--test", type=int, default=64, help="other sounds")
    arguments = parser.parse_args(argv)

    extractor = mirfeat.load_extractor("choi2017", layers="5", statistics=("mean",))
    samples, labels = glides(arguments.train, extractor.sample_rate, seed=1)
    others, truth = glides(arguments.test, extractor.sample_rate, seed=2)

    model = on_frozen(extractor.module(trainable=True), samples, labels)
    before = accuracy(model, others, truth)
    fine_tune(model, samples, labels, arguments.epochs)
    after = accuracy(model, others, truth)
    print(f"frozen features: {before:.3f}    fine-tuned: {after:.3f}    of {len(truth)} sounds")
    return before, after


if __name__ == "__main__":
    main()
