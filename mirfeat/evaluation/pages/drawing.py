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
# Okabe and Ito, Color Universal Design (2008), without black, and yellow, which is too pale.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
BLUE, PURPLE = PALETTE[0], PALETTE[3]
PALE_BLUE, PALE_ORANGE, GREY = "#93bddb", "#efb65e", "#9aa2ab"
_DEEP_BLUE, _BROWN = "#00588a", "#9c4a00"
MARKERS = ("o", "^", "s", "D")

FULL_WIDTH_CM = 17.0
# An SVG of more points or cells is slow to show; they go in as one image.
MOST_VECTOR_SHAPES = 2000

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
    "figure.constrained_layout.w_pad": 0.07,
    "figure.constrained_layout.h_pad": 0.07,
    "figure.dpi": 200.0,
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
        # A second pass corrects what the first one moved. Then all formats get the same layout.
        with _quiet():
            figure.draw_without_rendering()
            figure.draw_without_rendering()
        figure.set_layout_engine("none")


def short(text: object, limit: int = 32) -> str:
    """A name in one line of at most ``limit`` characters, all of which can be drawn."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    line = line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"
    # matplotlib leaves names that begin with an underscore out of legends.
    return f"\u200b{line}" if line.startswith("_") else line


def margin_cm(names: Sequence[str]) -> float:
    """Room for names beside an axis, and for what it is called."""
    return 1.6 + 0.15 * max(len(name) for name in names)


def line_styles() -> Iterator[dict[str, Any]]:
    """Colour, marker and dashes of one line after the other, without end; the first 24 differ."""
    for dashes, marker, color in cycle(
        (dashes, MARKERS[(k + shift) % len(MARKERS)], color)
        for shift, dashes in enumerate(("-", "--", ":", "-."))
        for k, color in enumerate(PALETTE)
    ):
        yield {"linestyle": dashes, "marker": marker, "color": color}


def legend_above(figure: Figure, axes: Axes) -> None:
    """A legend over the axes, in as many columns as the width allows, if anything has a name."""
    pairs = list(zip(*axes.get_legend_handles_labels(), strict=True))
    if pairs:
        # Lines and markers after bars, on which they stand.
        handles, labels = zip(
            *sorted(pairs, key=lambda p: hasattr(p[0], "get_marker")), strict=True
        )
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

    ``values``: [rows, columns]; the further from 0 the bluer or, if negative, the browner; NaN is
    empty. Colours are transparent near 0, and so fit any background.
    """
    reach = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    colors = np.empty((*values.shape, 4))
    colors[..., :3] = np.where(values[..., None] < 0, _rgb(_BROWN), _rgb(_DEEP_BLUE))
    colors[..., 3] = np.nan_to_num(np.abs(values) / reach)
    axes.pcolormesh(colors, rasterized=values.size > MOST_VECTOR_SHAPES)
    rows, columns = values.shape
    axes.hlines(range(rows + 1), 0, columns, color=RULE, linewidth=0.4)
    axes.vlines(range(columns + 1), 0, rows, color=RULE, linewidth=0.4)
    for (row, column), opacity in np.ndenumerate(colors[..., 3]):
        if words[row][column]:
            color = ON_DARK if opacity > 0.7 else INK
            style: dict[str, Any] = {"ha": "center", "va": "center", "size": point_size}
            axes.text(column + 0.5, row + 0.5, words[row][column], color=color, **style)
    axes.set_xticks(np.arange(columns) + 0.5, column_names)
    axes.set_yticks(np.arange(rows) + 0.5, row_names)
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def upright_labels(axes: Axes) -> None:
    """Words under the axis stand upright and end at it, in whatever font they are set."""
    for label in axes.get_xticklabels():
        label.set(rotation=90, rotation_mode="anchor", ha="right", va="center")


def _rgb(color: str) -> np.ndarray:
    """[3], 0 to 1, of a colour such as "#0072b2"."""
    return np.frombuffer(bytes.fromhex(color[1:]), np.uint8) / 255


def need_matplotlib() -> ModuleType:
    """The package, for those who want to know before long work whether it is there.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingPackageError(
            "Figures need matplotlib: pip install 'mirfeat[evaluation]'"
        ) from error
    return matplotlib


@contextmanager
def _styled() -> Iterator[None]:
    with need_matplotlib().rc_context(_STYLE):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """No warning of characters that matplotlib's font lacks, where another font will be used."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
