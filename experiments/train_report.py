"""The report of a single training: its learning curve, and every number that the agent told on the way."""

from collections.abc import Sequence
from dataclasses import asdict

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from agents.configs import AgentConfig
from experiments.drawing import COLOURS, STYLE, svg_of
from experiments.figures import curves_figure
from experiments.page import details, image, page, paragraph, table
from experiments.train import Training
from experiments.train_folder import Point

_COLUMNS = 3


def training_page(training: Training, config: AgentConfig, world: str) -> str:
    """Returns the report as one HTML page."""
    curve, title = training.curve, f"{config.label} on {world}"
    returns = np.array(curve.returns, float)
    final, best = curve.last_known(0), _best(returns[0])
    lead = (f"{curve.steps[-1]:,} steps; return {final:.1f} at the end, {best:.1f} at best, "
            f"measured on {curve.measured_on}.")  # fmt: skip
    note = ("The return at a point of the curve is a mean over few episodes, for the eye only. What the policy is "
            "worth is told by simulacra evaluate, on the real environment.")  # fmt: skip
    sections = [
        f"<h1>{title}</h1>",
        paragraph(lead, "lead"),
        *_curves(training),
        paragraph(note, "note"),
        "<h2>What the agent told on the way</h2>",
        image(metrics_figure(training.points), "metrics"),
        _last_numbers(training.points),
        details("settings", asdict(config)),
    ]
    return page(title, sections)


def _curves(training: Training) -> list[str]:
    """The curve, and beside it that of what was learned from a log before; none where nothing was measured."""
    curves = {"": training.curve.to_json()}
    if training.log_curve is not None:
        curves = {"on the log (gradient steps)": training.log_curve.to_json(), "collecting": training.curve.to_json()}
    known = {title: curve for title, curve in curves.items() if curve["measured_on"] != "nothing"}
    return [image(curves_figure(known, None), "learning curve")] if known else []


def _best(returns: np.ndarray) -> float:
    known = returns[~np.isnan(returns)]
    return float(known.max()) if len(known) else float("nan")


def metrics_figure(points: Sequence[Point]) -> str:
    """Draws every metric but the step and the return against the steps, each in a panel of its own."""
    names = [name for name in points[0].numbers if name not in ("step", "return")]
    num_rows = -(-len(names) // _COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure((9.2, 1.7 * num_rows + 0.3), layout="constrained")
        panels = figure.subplots(num_rows, _COLUMNS, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            for row in sorted({point.row for point in points}):
                mine = [point.numbers for point in points if point.row == row]
                axes.plot([one["step"] for one in mine], [one[name] for one in mine], color=COLOURS[1], linewidth=1.4)
            axes.set_title(name.replace("_", " "), fontsize=9)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        return svg_of(figure)


def _last_numbers(points: Sequence[Point]) -> str:
    told = {"step": f"{points[-1].steps:,}", "return": f"{points[-1].returns:,.1f}"}
    rows = [[name.replace("_", " "), told.get(name, f"{value:,.4g}")] for name, value in points[-1].numbers.items()]
    return table(["at the end", ""], rows)
