"""The figures of a study's report, each returned as SVG text."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.drawing import COLOURS, STYLE, svg_of


def returns_figure(rows: Sequence[dict[str, Any]], threshold: float | None) -> str:
    """Draws every row's interquartile mean with its interval, and each seed's mean as a dot.

    Args:
        rows: JSON of `experiments.results.Row`, in order.
        threshold: drawn as a line where there is one.
    """
    with mpl.rc_context(STYLE):
        figure = Figure((9.2, 0.5 * len(rows) + 1.1), layout="constrained")
        axes = figure.subplots()
        for i, row in enumerate(rows):
            colour = COLOURS[i % len(COLOURS)]
            scores = [np.mean(seed["returns"]) for seed in row["seeds"]]
            axes.barh(i, row["iqm"], color=colour, alpha=0.35, height=0.6)
            axes.plot([row["ci_low"], row["ci_high"]], [i, i], color=colour, linewidth=3, solid_capstyle="round")
            axes.plot(scores, np.full(len(scores), i), "o", color=colour, markersize=4.5, markeredgecolor="white")
        if threshold is not None:
            axes.axvline(threshold, color="black", linestyle="--", linewidth=1)
            axes.text(threshold, -0.75, f"solved: {threshold:g} ", ha="right", va="center", fontsize=8.5)
        axes.set_yticks(range(len(rows)), [f"{row['world']} · {row['method']}" for row in rows])
        axes.set_ylim(len(rows) - 0.5, -1)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("return on the real environment: interquartile mean, 95% interval, one dot a seed")
        return svg_of(figure)


def curves_figure(curves: dict[str, dict[str, Any]], threshold: float | None) -> str:
    """Draws learning curves: for each world the seeds' real return against the steps taken in that world.

    Args:
        curves: title to JSON of `experiments.train.Curve`.
        threshold: drawn as a line where there is one.
    """
    with mpl.rc_context(STYLE):
        figure = Figure((9.2, 2.9), layout="constrained")
        grid = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
        for axes, (title, curve), colour in zip(grid, curves.items(), COLOURS[1:], strict=False):
            returns = np.array(curve["returns"], float)  # null is NaN
            axes.plot(curve["steps"], returns.T, color=colour, alpha=0.35, linewidth=1)
            axes.plot(curve["steps"], np.median(returns, axis=0), color=colour, linewidth=2.2)
            axes.set_title(title)
            axes.set_xlabel("steps in that world")
            axes.set_xlim(left=0)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
            if threshold is not None:
                axes.axhline(threshold, color="black", linestyle="--", linewidth=1)
        measured = next(iter(curves.values()))["measured_on"]
        grid[0].set_ylabel(f"return on {measured}")
        return svg_of(figure)


def evolution_figure(history: dict[str, Any], threshold: float | None) -> str:
    """Draws the evolution's fitness and held-out check against the generation.

    Args:
        history: JSON of `experiments.evolve.EvolutionHistory`; where a stage ends there is a dotted line.
        threshold: drawn as a line where there is one.
    """
    with mpl.rc_context(STYLE):
        figure = Figure((9.2, 2.7), layout="constrained")
        axes: Axes = figure.subplots()
        for key, title, colour, width in (
            ("fitness_best", "best of the population", COLOURS[5], 1.0),
            ("fitness_mean", "mean of the population", COLOURS[0], 1.6),
            ("check_mean", "fresh agents in the centre, mean", COLOURS[2], 2.2),
            ("check_worst", "fresh agents in the centre, worst", COLOURS[2], 1.0),
        ):
            axes.plot(np.array(history[key], float), color=colour, linewidth=width, label=title)
        if threshold is not None:
            axes.axhline(threshold, color="black", linestyle="--", linewidth=1)
        for border in np.cumsum(history["stages"])[:-1]:
            axes.axvline(border - 0.5, color="black", linestyle=":", linewidth=1)
        axes.set_xlabel("generation")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("real return of agents")
        axes.legend(loc="best", fontsize=7.5)
        return svg_of(figure)


def bandit_figure(rewards: dict[str, Any], names: Sequence[str]) -> str:
    """Draws what the bandit pays for the last action against the first over two dimensions, and where its contexts lie.

    Args:
        rewards: ``axes`` (two dimensions), ``x`` and ``y`` (grid values), ``advantage`` ``[Y][X]`` (reward of the
            highest action minus the lowest), ``contexts`` ``[N][2]``, ``real`` ``[N][2]`` (logged observations).
        names: of the observation's dimensions.
    """
    x, y = np.array(rewards["x"]), np.array(rewards["y"])
    advantage = np.array(rewards["advantage"])
    limit = float(np.abs(advantage).max()) or 1.0
    with mpl.rc_context(STYLE):
        figure = Figure((9.2, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        extent = (x[0], x[-1], y[0], y[-1])
        image = left.imshow(
            advantage, origin="lower", aspect="auto", extent=extent, cmap="RdBu", vmin=-limit, vmax=limit
        )
        figure.colorbar(image, ax=left, label="reward: last action minus first")
        left.set_title("what the bandit pays")
        right.scatter(
            *np.array(rewards["real"]).T, s=3, color="black", alpha=0.25, rasterized=True, label="logged real states"
        )
        right.scatter(
            *np.array(rewards["contexts"]).T,
            s=3,
            color=COLOURS[2],
            alpha=0.4,
            rasterized=True,
            label="the bandit's contexts",
        )
        right.set_title("where its contexts lie")
        right.legend(markerscale=4)
        everything = np.concatenate([rewards["real"], rewards["contexts"]])
        (left_end, bottom), (right_end, top) = np.percentile(everything, [0.5, 99.5], axis=0)
        right.set_xlim(left_end, right_end)
        right.set_ylim(bottom, top)
        for axes in (left, right):
            axes.grid(visible=False)
            axes.set_xlabel(names[rewards["axes"][0]])
        left.set_ylabel(names[rewards["axes"][1]])
        return svg_of(figure)
