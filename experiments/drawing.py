"""What all figures share: colours, style, and how a figure becomes SVG text."""

import io
from typing import Any

from matplotlib.figure import Figure

COLOURS = ("#3b6fb6", "#d1662f", "#3f8f5b", "#8d5aa8", "#b8a12c", "#5d6d7e")
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "svg.hashsalt": "simulacra",  # the same data gives the same file
}


def svg_of(figure: Figure) -> str:
    """Returns the figure as SVG text."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
