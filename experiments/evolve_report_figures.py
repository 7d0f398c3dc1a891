"""The figures of a synthetic environment's report, each returned as SVG text."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from experiments.drawing import COLOURS, STYLE, svg_of
from experiments.held_out_curves import Learned
from experiments.paid_rewards import RewardMap

_INSIDE, _DIRECT = COLOURS[2], COLOURS[1]


def learned_figure(inside: Learned, direct: Learned, threshold: float | None) -> str:
    """Draws the agents' curves over the length of a training, and beside them how the direct training goes on."""
    with mpl.rc_context(STYLE):
        figure = Figure((9.2, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for axes in (left, right):
            if threshold is not None:
                axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"solved: {threshold:g}")
            _curve(axes, direct, _DIRECT, "directly on the real environment")
            _curve(axes, inside, _INSIDE, "in the synthetic environment")
            axes.set_xlabel("steps that an agent has taken")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
        left.set_xlim(0, inside.steps[-1])
        right.set_xlim(0, direct.steps[-1])
        left.set_title("the same number of steps")
        right.set_title(f"{direct.steps[-1] / inside.steps[-1]:g} times as many")
        left.set_ylabel("return on the real dynamics")
        right.legend(loc="best", fontsize=8)
        return svg_of(figure)


def _curve(axes: Axes, learned: Learned, colour: str, title: str) -> None:
    axes.fill_between(learned.steps, *learned.band().T, color=colour, alpha=0.2, linewidth=0)
    axes.plot(learned.steps, learned.middle(), color=colour, linewidth=2, label=title)


def reward_figure(found: RewardMap, names: Sequence[str]) -> str:
    """Draws what is paid and, where it is known, what is best, side by side.

    A line is where the first and the last of two actions are worth the same.

    Args:
        found: over two numbers of the observation.
        names: of all of them.
    """
    titles = {
        "difference": ("reward: last action less first", "value: last action less first"),
        "action": ("best-paid action", "optimal action"),
        "value": ("potential", "optimal value"),
    }[found.shown]
    maps = [("what is paid", found.paid, titles[0])]
    if found.optimal is not None:
        maps.append(("what is best on the real environment", found.optimal, titles[1]))
    with mpl.rc_context(STYLE):
        figure = Figure((4.6 * len(maps), 3.4), layout="constrained")
        for axes, (title, values, label) in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps, strict=True):
            extent = (found.x[0], found.x[-1], found.y[0], found.y[-1])
            colours, norm = _colours(values, found)
            image = axes.imshow(values, origin="lower", aspect="auto", extent=extent, cmap=colours, norm=norm)
            figure.colorbar(image, ax=axes, label=label)
            if found.shown == "difference" and values.min() < 0 < values.max():
                axes.contour(found.x, found.y, values, levels=[0.0], colors="black", linewidths=1.2)
            axes.set_title(title)
            axes.grid(visible=False)
            axes.set_xlabel(names[found.axes[0]])
            axes.set_ylabel(names[found.axes[1]])
        return svg_of(figure)


def _colours(values: np.ndarray, found: RewardMap) -> tuple[str, Normalize]:
    """Differences share a scale around 0, actions one scale; single extreme numbers do not wash out the others."""
    if found.shown == "difference":
        limit = float(np.percentile(np.abs(values), 98)) or 1.0
        return "RdBu", Normalize(-limit, limit)
    if found.shown == "action":
        both = values if found.optimal is None else np.concatenate([values, found.optimal])
        return "RdBu", Normalize(float(both.min()), float(both.max()) or 1.0)
    low, high = np.percentile(values, [2, 98])
    return "viridis", Normalize(float(low), float(high))


def states_figure(
    own: tuple[str, np.ndarray], real: Sequence[tuple[str, np.ndarray]], axes: tuple[int, int], names: Sequence[str]
) -> str:
    """Draws where states lie, over two numbers of the observation.

    Args:
        own: title and states ``[N, O]`` of the synthetic environment.
        real: titles and states of the real one, at most two.
        axes: the two numbers.
        names: of all numbers.
    """
    with mpl.rc_context(STYLE):
        figure = Figure((9.2, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        everything = [own, *real]
        for panel, ranged in ((left, everything), (right, real)):
            for (title, states), colour, size in zip(
                (everything[0], *everything[:0:-1]), (_INSIDE, COLOURS[5], COLOURS[0]), (5, 4, 4), strict=False
            ):
                panel.scatter(
                    *states[:, axes].T, s=size, color=colour, alpha=0.4, linewidth=0, rasterized=True, label=title
                )
            _limit(panel, np.concatenate([states[:, axes] for _, states in ranged]))
            panel.set_xlabel(names[axes[0]])
        left.set_ylabel(names[axes[1]])
        left.set_title("all of them")
        right.set_title("where the real ones lie")
        left.legend(loc="best", fontsize=8, markerscale=3)
        return svg_of(figure)


def _limit(panel: Axes, points: np.ndarray) -> None:
    (left, bottom), (right, top) = np.percentile(points, [0.5, 99.5], axis=0)
    across, up = 0.05 * (right - left), 0.05 * (top - bottom)
    panel.set_xlim(left - across, right + across)
    panel.set_ylim(bottom - up, top + up)
