"""What all figures share: colours, type, and :class:`Drawing`, a figure with its words and data.

The only importer of matplotlib, by its object-oriented interface: no figure is global and no
display is needed. matplotlib's settings are changed while a figure is made and put back.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mirfeat.csvfiles import write_csv
from mirfeat.errors import MissingPackageError
from mirfeat.evaluation.records import Table
from mirfeat.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Ink and paper. A page with a dark theme replaces these four, and no other, by its own.
INK, MUTED, RULE, PAPER = "#1b1f24", "#59636e", "#d5dae0", "#ffffff"
# Words on coloured cells and bars, which have the same colour in every theme.
ON_LIGHT, ON_DARK = "#101214", "#fdfdfd"
# Okabe and Ito, Color Universal Design (2008), without black and in order of contrast.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b8a800")
BLUE, PURPLE, ORANGE = PALETTE[0], PALETTE[3], PALETTE[4]
PALE_BLUE, GREY = "#8db9d8", "#9aa2ab"
MARKERS = ("o", "^", "s", "D")

FULL_WIDTH_CM = 17.0
# Above so many points an SVG is slow to show; they go in as one image.
MOST_VECTOR_POINTS = 2000

_STYLE: dict[str, Any] = {
    # Comes with matplotlib, and is wider than most: words set in another font still fit.
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    # Names of classes may hold dollar signs.
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "errorbar.capsize": 2.0,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.6,
    "legend.borderaxespad": 0.0,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "savefig.facecolor": PAPER,
    "savefig.bbox": None,
    "svg.fonttype": "none",
    # With a salt, names inside an SVG depend on its contents alone.
    "svg.hashsalt": "mirfeat",
}


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure, a sentence or two for those who cannot see it, and the numbers it shows.

    ``data``: its title and note are the figure's caption. Made twice from the same input, all bytes
    are the same.
    """

    figure: Figure
    alt: str
    data: Table

    def svg(self) -> str:
        """The figure as SVG; words stay words, to be set in a font of the reader."""
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        with _styled(), _quiet():
            self.figure.savefig(buffer, format="svg", metadata=nothing, dpi=200)
        return buffer.getvalue()

    def png(self, dots_per_inch: int = 200) -> bytes:
        """The figure as PNG on white."""
        buffer = io.BytesIO()
        with _styled():
            nothing = {"Software": None}
            self.figure.savefig(buffer, format="png", metadata=nothing, dpi=dots_per_inch)
        return buffer.getvalue()

    def save(self, folder: str | Path, name: str) -> tuple[Path, Path, Path]:
        """Write ``name``.png, ``name``.svg and the numbers behind them, ``name``.csv.

        Each file appears whole or not at all, and replaces one of the same name. Numbers that are
        missing or NaN are empty cells. Returns the paths in this order.
        """
        png, svg, data = (Path(folder) / f"{name}.{kind}" for kind in ("png", "svg", "csv"))
        for path, contents in ((png, self.png()), (svg, self.svg().encode())):
            with replacing(path) as temporary:
                temporary.write_bytes(contents)
        write_csv(data, self.data.columns, csv_rows(self.data))
        return png, svg, data

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return self.png()


def csv_rows(table: Table) -> list[list[Any]]:
    """Rows of a table with "" where there is no number (None, NaN)."""
    return [
        ["" if value is None or _is_nan(value) else value for value in row] for row in table.rows
    ]


@contextmanager
def sheet(width_cm: float, height_cm: float) -> Iterator[Figure]:
    """An empty figure to draw on; its layout is settled when the block ends.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    with _styled():
        from matplotlib.figure import Figure

        figure = Figure((width_cm / 2.54, height_cm / 2.54), layout="constrained")
        yield figure
        # Layout drifts a little with every drawing; now all formats get the same one.
        with _quiet():
            figure.draw_without_rendering()
        figure.set_layout_engine("none")


def short(text: object, limit: int = 32) -> str:
    """A name in one line of at most ``limit`` characters, all of which can be drawn."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    line = line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"
    # matplotlib leaves names that begin with an underscore out of legends.
    return f"\u200b{line}" if line.startswith("_") else line


def line_styles() -> Iterator[dict[str, Any]]:
    """Colour, marker and dashes of one line after the other, without end; the first 28 differ."""
    for dashes, marker, color in cycle(
        (dashes, MARKERS[(k + shift) % len(MARKERS)], color)
        for shift, dashes in enumerate(("-", "--", ":", "-."))
        for k, color in enumerate(PALETTE)
    ):
        yield {"linestyle": dashes, "marker": marker, "color": color}


def legend_above(figure: Figure, axes: Axes) -> None:
    """A legend over the axes, in as many columns as the width allows, if anything has a name."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        widest_cm = 1.3 + 0.15 * max(len(label) for label in labels)
        columns = int(figure.get_figwidth() * 2.54 / widest_cm)
        columns = min(max(columns, 1), len(labels))
        figure.legend(handles, labels, loc="outside upper left", ncols=columns)


def cells(
    axes: Axes,
    values: np.ndarray,
    words: Sequence[Sequence[str]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    point_size: float,
) -> None:
    """Coloured cells with words in them, the first row on top.

    ``values``: [rows, columns]; white is 0, the higher the bluer or, if some are negative, purple
    and orange; NaN has no colour.
    """
    reach = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    negative = bool((values < 0).any())
    axes.pcolormesh(
        np.ma.masked_invalid(values),
        cmap="PuOr" if negative else "Blues",
        vmin=-reach if negative else 0.0,
        vmax=reach,
        edgecolors=PAPER,
        linewidth=0.5,
    )
    for (row, column), value in np.ndenumerate(values):
        dark = abs(value) > 0.55 * reach
        color = MUTED if math.isnan(value) else ON_DARK if dark else ON_LIGHT
        style: dict[str, Any] = {"ha": "center", "va": "center", "size": point_size}
        if words[row][column]:
            axes.text(column + 0.5, row + 0.5, words[row][column], color=color, **style)
    axes.set_xticks(np.arange(len(column_names)) + 0.5, [short(name, 24) for name in column_names])
    axes.set_yticks(np.arange(len(row_names)) + 0.5, [short(name, 24) for name in row_names])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _matplotlib() -> ModuleType:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingPackageError(
            "Figures need matplotlib: pip install 'mirfeat[evaluation]'"
        ) from error
    return matplotlib


@contextmanager
def _styled() -> Iterator[None]:
    with _matplotlib().rc_context(_STYLE):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """No warning of characters that matplotlib's font lacks, where another font will be used."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
