"""Put trained checkpoints into the package, with what the benchmark measured of them.

Usage::

    python open_weights/install_weights.py RUNS RESULTS.json

RUNS has ``<extractor>/<extractor>.safetensors`` of ``mirfeat train``; folders of another name are
left out. RESULTS.json is what
``python -m benchmarks.teacher_agreement`` wrote. The checkpoints go to ``mirfeat/weights``, and a
table of them to stdout, for docs/open_weights.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirfeat.networks import checkpoint
from mirfeat.training.export import halved

WEIGHTS = Path(__file__).parents[1] / "mirfeat" / "weights"
# The wheel should stay a download of seconds.
MOST_BYTES = 40_000_000


def metrics_of(extractor: str, results: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured of a checkpoint: score by name, rounded."""
    scores: dict[str, float] = results.get(f"{extractor}/open", {}).get("scores", {})
    return dict(scores)


def install(source: Path, results: Mapping[str, Any]) -> str:
    """Copy one checkpoint; its line of the table."""
    weights = checkpoint.read(source)
    extractor = weights.metadata["extractor"]
    metadata = {**weights.metadata, "metrics": metrics_of(extractor, results)}
    teachers = metadata["training"]["config"].get("teachers", [])
    if teachers and "sources" in metadata:
        taught = [s for s in metadata["sources"] if s.partition("-")[0] in teachers]
        metadata.setdefault("taught", taught)
    target = WEIGHTS / f"{extractor}.safetensors"
    tensors = halved(weights.tensors)
    checkpoint.write(target, replace(weights, tensors=tensors, metadata=metadata))
    training = metadata["training"]
    learnt = metadata.get("sources") or metadata.get("labels", {})
    cells = [
        f"`{extractor}`",
        f"{target.stat().st_size / 1e6:.1f} MB",
        ", ".join(learnt),
        str(training["steps"]),
        str(training["chosen_step"]),
        str(training["validation_score"]),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("results", type=Path)
    args = parser.parse_args()
    results = json.loads(args.results.read_text(encoding="utf-8"))
    print("| checkpoint | size | learnt | steps | chosen | validation score |")
    print("|---|---|---|---|---|---|")
    for source in sorted(args.runs.glob("*/*.safetensors")):
        if source.parent.name == source.stem:  # not the runs that another one began with
            print(install(source, results))
    total = sum(path.stat().st_size for path in WEIGHTS.glob("*.safetensors"))
    print(f"{total / 1e6:.1f} MB in all", file=sys.stderr)
    return 1 if total > MOST_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
