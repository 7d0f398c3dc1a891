"""The figures of a world model's quality card, each returned as SVG text.

Shape legend: ``D`` observation dimensions, ``Y`` predicted numbers, ``T`` steps, ``K`` horizons.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.drawing import COLOURS, STYLE, svg_of
from experiments.model_card.titles import TITLES

_COLOUR_OF = {
    "model": COLOURS[1],
    "no_change": COLOURS[5],
    "linear": COLOURS[0],
    "nearest": COLOURS[2],
    "most_frequent": COLOURS[2],
}
_KIND_COLOURS = (COLOURS[3], COLOURS[4], COLOURS[1])
_WIDTH = 9.2
_MOST_PANELS = 12


def errors_figure(card: dict[str, Any]) -> str:
    """Draws the open-loop error of the model and of the baselines against the horizon, with 95% intervals.

    Args:
        card: a quality card; ``open_loop`` and ``unit`` are drawn.
    """
    with mpl.rc_context(STYLE):
        figure = Figure((_WIDTH, 3.1), layout="constrained")
        axes: Axes = figure.subplots()
        for name, curve in card["open_loop"].items():
            value, low, high = (np.array(curve[key], float) for key in ("value", "low", "high"))
            steps, colour = np.arange(1, len(value) + 1), _COLOUR_OF[name]
            width = 2.4 if name == "model" else 1.4
            axes.plot(steps, value, color=colour, linewidth=width, label=TITLES[name], marker="o", markersize=2.5)
            axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
        if card["unit"] == "standard deviations":
            axes.set_yscale("log")
        axes.set_xlabel("steps imagined without a look at reality")
        axes.set_ylabel(f"error ({card['unit']})")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
        return svg_of(figure)


def calibration_figure(card: dict[str, Any], names: Sequence[str]) -> str:
    """Draws how often predicted intervals come true: pooled, beside the baselines, and for each number.

    Args:
        card: a quality card of a model of vectors; ``coverage`` is drawn.
        names: of the ``Y`` predicted numbers.
    """
    with mpl.rc_context(STYLE):
        figure = Figure((_WIDTH, 3.9), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for name, covered in card["coverage"].items():
            _draw_coverage(left, covered["levels"], covered["pooled"]["value"], _COLOUR_OF[name], TITLES[name],
                           2.4 if name == "model" else 1.2)  # fmt: skip
        ours = card["coverage"]["model"]
        left.fill_between(ours["levels"], ours["pooled"]["low"], ours["pooled"]["high"],
                          color=_COLOUR_OF["model"], alpha=0.18, linewidth=0)  # fmt: skip
        known = [(name, covered) for name, covered in zip(names, ours["numbers"], strict=True) if covered is not None]
        shades = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(known)))
        for (name, covered), shade in zip(known, shades, strict=True):
            _draw_coverage(right, ours["levels"], covered, shade, name, 1.4)
        left.set_title("all predicted numbers")
        right.set_title("the world model, number by number")
        left.set_ylabel("share that came to lie inside")
        for axes in (left, right):
            axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1)
            axes.set_xlabel("share that the interval should hold")
            axes.set_aspect("equal")
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
            if len(axes.get_lines()) <= _MOST_PANELS:
                axes.legend(loc="upper left", fontsize=7.5)
        return svg_of(figure)


def _draw_coverage(axes: Axes, levels: Any, covered: Any, colour: Any, label: str, width: float) -> None:
    axes.plot([0, *levels], [0, *covered], color=colour, linewidth=width, label=label)


def reliability_figure(card: dict[str, Any]) -> str:
    """Draws accuracy against confidence, in bins of the latter, and how many steps fall into each.

    Args:
        card: a quality card of a model of Discrete observations; ``reliability`` is drawn.
    """
    with mpl.rc_context(STYLE):
        figure = Figure((_WIDTH, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for name, told in card["reliability"].items():
            confidence, accuracy = (np.array(told[key], float) for key in ("confidence", "accuracy"))
            seen = np.isfinite(confidence)
            left.plot(confidence[seen], accuracy[seen], "o-", color=_COLOUR_OF[name], label=TITLES[name], markersize=4)
        left.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1)
        left.set_xlabel("probability given to the likeliest state")
        left.set_ylabel("share of steps at which it came")
        left.legend(loc="upper left")
        counts = card["reliability"]["model"]["counts"]
        right.bar((np.arange(len(counts)) + 0.5) / len(counts), counts, 0.9 / len(counts), color=_COLOUR_OF["model"])
        right.set_xlabel("probability given to the likeliest state")
        right.set_ylabel("held-out steps")
        return svg_of(figure)


def uncertainty_figure(card: dict[str, Any]) -> str:
    """Draws the error against the uncertainty, in bins, and how far their ranks agree over longer imagination.

    Args:
        card: a quality card; ``uncertainty`` is drawn.
    """
    told = card["uncertainty"]
    with mpl.rc_context(STYLE):
        figure = Figure((_WIDTH, 3.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        for (kind, bins), colour, dashes in zip(told["bins"].items(), _KIND_COLOURS, ("-", "-", "--"), strict=True):
            if bins is not None and np.ptp(bins["uncertainty"]) > 0:
                left.plot(bins["uncertainty"], bins["error"], f"o{dashes}", color=colour, label=kind, markersize=4)
            ranks = np.array(told["accumulated"][kind], float)
            if np.isfinite(ranks).any():
                right.plot(np.arange(1, len(ranks) + 1), ranks, dashes, color=colour, label=kind, linewidth=1.8)
        for axes in (left, right):
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="best")
        left.set_xlabel("predicted uncertainty, ten bins of equal size")
        left.set_ylabel("real one-step error")
        right.set_ylim(-1.05, 1.05)
        right.axhline(0, color="black", linewidth=0.8)
        right.set_xlabel("steps imagined")
        right.set_ylabel("rank correlation with the error")
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        return svg_of(figure)


def ranking_figure(ranking: dict[str, Any]) -> str:
    """Draws every policy's imagined against its real mean return, with standard errors and the diagonal.

    Args:
        ranking: JSON of `experiments.model_card.policy_ranking.Ranking`.
    """
    policies = ranking["policies"]
    imagined, real = (np.array([one[key] for one in policies]) for key in ("imagined", "real"))
    errors = [np.array([one[f"{key}_error"] for one in policies]) for key in ("imagined", "real")]
    low, high = min(imagined.min(), real.min()), max(imagined.max(), real.max())
    margin = 0.06 * (high - low) or 1.0
    with mpl.rc_context(STYLE):
        figure = Figure((5.2, 4.6), layout="constrained")
        axes: Axes = figure.subplots()
        ends = [low - margin, high + margin]
        axes.plot(ends, ends, color="black", linestyle="--", linewidth=1)
        axes.errorbar(real, imagined, errors[0], errors[1], fmt="o", color=COLOURS[0], ecolor="#a9bcd6", markersize=5)
        axes.plot(real[:1], imagined[:1], "o", color=COLOURS[1], markersize=8, label="trained inside the model")
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
        axes.set_aspect("equal")
        axes.set_xlabel("mean return on the real environment")
        axes.set_ylabel("mean return in the model")
        axes.legend(loc="upper left")
        return svg_of(figure)


def steps_figure(step: dict[str, Any], names: Sequence[str]) -> str:
    """Draws predicted against real changes of single steps, number by number; at most twelve that change.

    Steps whose prediction is not finite are left out.

    Args:
        step: JSON of `worldmodels.quality.views.StepView`.
        names: of the ``Y`` predicted numbers.
    """
    real, predicted = np.array(step["real"], float), np.array(step["predicted"], float)
    finite = np.isfinite(predicted).all(axis=1)
    real, predicted = real[finite], predicted[finite]
    shown = np.flatnonzero((real != real[:1]).any(0) | (predicted != predicted[:1]).any(0))[:_MOST_PANELS]
    with mpl.rc_context(STYLE):
        figure, grid = _panels(max(1, len(shown)), 4, 2.4)
        for axes, y in zip(grid, shown, strict=False):
            both = np.concatenate((real[:, y], predicted[:, y]))
            axes.plot([both.min(), both.max()], [both.min(), both.max()], color="black", linestyle="--", linewidth=1)
            axes.plot(real[:, y], predicted[:, y], ".", color=COLOURS[1], alpha=0.5, markersize=4, rasterized=True)
            axes.set_title(names[y], fontsize=9)
            axes.ticklabel_format(style="sci", scilimits=(-3, 4), useMathText=True)
        figure.supxlabel("real change in one step (of the reward: its value)", fontsize=9.5)
        figure.supylabel("predicted", fontsize=9.5)
        return svg_of(figure)


def trajectory_figure(trajectory: dict[str, Any], names: Sequence[str]) -> str:
    """Draws one logged episode beside the model's open-loop imagination of it; at most twelve dimensions.

    Args:
        trajectory: JSON of `worldmodels.quality.views.TrajectoryView`.
        names: of the ``D`` dimensions.
    """
    real, imagined, low, high = (np.array(trajectory[key], float) for key in ("real", "imagined", "low", "high"))
    shown, steps = min(real.shape[1], _MOST_PANELS), np.arange(len(real))
    with mpl.rc_context(STYLE):
        figure, grid = _panels(shown, 2, 2.2, sharex=True)
        for d, axes in enumerate(grid[:shown]):
            axes.fill_between(steps, low[:, d], high[:, d], color=COLOURS[1], alpha=0.2, linewidth=0,
                              label="90% of imaginations")  # fmt: skip
            axes.plot(steps, real[:, d], color="black", linewidth=1.8, label="real")
            axes.plot(steps, imagined[:, d], color=COLOURS[1], linewidth=1.8, label="imagined")
            axes.set_title(names[d])
        for axes in grid[max(0, shown - 2) : shown]:
            axes.set_xlabel("steps after the last look at reality")
            axes.tick_params(labelbottom=True)  # with sharex, also where no panel is below
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
        return svg_of(figure)


def _panels(count: int, columns: int, height: float, sharex: bool = False) -> tuple[Figure, list[Axes]]:
    """Returns a figure of ``count`` panels in rows of ``columns``, without empty ones."""
    columns = min(count, columns)
    rows = -(-count // columns)
    figure = Figure((_WIDTH, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=sharex, squeeze=False).ravel()
    for empty in grid[count:]:
        empty.remove()
    return figure, list(grid[:count])
