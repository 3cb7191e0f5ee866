"""``mirfeat export``: an extractor in a file for other programs."""

from __future__ import annotations

import argparse
from typing import Any

from mirfeat.adapters.onnx import export_onnx
from mirfeat.cli.extract import loading_options
from mirfeat.cli.output import print_json, printable
from mirfeat.loading import load_extractor
from mirfeat.pipeline.module import Output


def export(arguments: argparse.Namespace) -> int:
    """Write the file and say what it takes."""
    with load_extractor(arguments.extractor, **loading_options(arguments)) as extractor:
        output: Output = "rows" if arguments.rows else "vector"
        path = export_onnx(extractor, arguments.onnx, output=output)
        size = extractor.row_dimension if arguments.rows else extractor.dimension
        record: dict[str, Any] = {
            "file": str(path),
            "bytes": path.stat().st_size,
            "sample_rate": extractor.sample_rate,
            "channels": extractor.channels,
            "output": output,
            "size": size,
        }
    if arguments.json:
        print_json(record)
    else:
        print(
            f"{printable(path)}: samples [clips, {record['channels']}, samples] at "
            f"{record['sample_rate']} Hz -> {output}, {size} numbers"
        )
    return 0
