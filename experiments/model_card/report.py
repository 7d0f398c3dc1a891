"""The report of one world model: its quality card in words, tables and pictures, one HTML file that opens offline."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.draw import can_draw, draw_state
from envs.spec import EnvSpec
from experiments.model_card.animation import animate
from experiments.model_card.figures import (
    calibration_figure,
    errors_figure,
    ranking_figure,
    reliability_figure,
    steps_figure,
    trajectory_figure,
    uncertainty_figure,
)
from experiments.model_card.text import (
    calibration_told,
    number,
    ranking_told,
    share,
    summary,
    terminations_told,
    uncertainty_told,
    verdict,
)
from experiments.observation_names import observation_names
from experiments.page import animation, details, image, page, paragraph, table

_LEVELS = (0.5, 0.8, 0.9, 0.95)


def report_page(card: dict[str, Any], views: dict[str, Any], spec: EnvSpec, provenance: dict[str, Any]) -> str:
    """Returns the report of one world model as HTML.

    Args:
        card: its quality card, the JSON of `experiments.model_card.card.make_card`.
        views: what its pictures are drawn from, the JSON of `worldmodels.quality.views.make_views`.
        spec: the environment it models.
        provenance: where it came from, as JSON; shown at the end.
    """
    log = card["log"]
    lead = (f"A world model of the family {card['family']}, learned from {log['num_steps']:,} logged steps in "
            f"{log['num_episodes']:,} episodes and measured on {card['num_episodes']:,} episodes that it has not "
            f"seen ({card['num_steps']:,} steps).")  # fmt: skip
    sections = [
        f"<h1>World model of {html.escape(spec.env_id)}</h1>",
        paragraph(lead, "lead"),
        *model_sections(card, views, spec, observation_names(spec)),
        details("The quality card, whole", card),
        details("Where the model came from", provenance),
    ]
    return page(f"Simulacra: world model of {spec.env_id}", sections)


def model_sections(
    card: dict[str, Any], views: dict[str, Any], spec: EnvSpec, dimensions: Sequence[str], heading: str = "h2"
) -> list[str]:
    """Returns the HTML of a report's sections on one world model.

    Args:
        card: see `report_page`.
        views: likewise.
        spec: likewise.
        dimensions: names of the observation's dimensions.
        heading: tag of the sections' titles.
    """

    def title(text: str) -> str:
        return f"<{heading}>{text}</{heading}>"

    names = (*dimensions, "reward")
    return [
        *(paragraph(f"Warning: {warning}.", "warning") for warning in card["warnings"]),
        summary_table(card),
        paragraph(verdict(card)),
        paragraph(_how_to_read(card), "note"),
        title("How far imagination carries"),
        image(errors_figure(card), "open-loop error against the horizon, with 95% intervals"),
        paragraph(_errors_note(card), "note"),
        title("What it imagines"),
        *_pictures(views, spec, dimensions),
        title("How sure it is"),
        *_calibration(card, names),
        paragraph(f"Uncertainty: {uncertainty_told(card)}."),
        image(uncertainty_figure(card), "error against predicted uncertainty"),
        paragraph(_UNCERTAINTY_NOTE, "note"),
        title("When episodes end"),
        paragraph(f"Terminations: {terminations_told(card)}."),
        title("What policies are worth in it"),
        *_ranking(card["ranking"]),
    ]


def summary_table(card: dict[str, Any]) -> str:
    """Returns the HTML of the table that shows the model beside the baselines."""
    head, rows = summary(card)
    return table(head, rows, ours=0)


def _how_to_read(card: dict[str, Any]) -> str:
    counted = "a state" if card["reliability"] else "a predicted number, in units of its spread in training"
    return (
        f"Errors are in {card['unit']}. Surprise is the negative log-likelihood of what came, in nats {counted}: the "
        f"lower the better. The spread of the held-out rewards is {number(card['reward_spread'])}. All baselines "
        "learned from the same episodes as the model."
    )


def _errors_note(card: dict[str, Any]) -> str:
    counts = card["num_starts"]
    return (
        f"From {counts[0]:,} held-out states on, each prediction goes by the logged actions alone. Bands are 95% "
        f"intervals over resampled episodes. The longest horizon is reached from {counts[-1]:,} states."
    )


_UNCERTAINTY_NOTE = (
    "Left: the surest tenth of the held-out steps to the least sure one. Right: the rank correlation of the "
    "uncertainty summed along an imagination with its error, where at least 20 imaginations reach that far."
)


def _pictures(views: dict[str, Any], spec: EnvSpec, names: Sequence[str]) -> list[str]:
    trajectory = views["trajectory"]
    steps = len(trajectory["real"]) - 1
    begins = f"after {trajectory['seen']} steps that the model has seen" if trajectory["seen"] else "from its start on"
    told = (f"The longest held-out episode, {begins}: {steps} steps, imagined from the logged actions alone. The band "
            "holds 90% of 200 imaginations with the model's own noise.")  # fmt: skip
    parts = [paragraph(told, "note")]
    if can_draw(spec.env_id):
        parts.append(animation(_moving(trajectory, spec), "the real episode beside the imagined one, moving"))
    parts.append(image(trajectory_figure(trajectory, names), "imagined and real trajectories"))
    if not isinstance(spec.observation_space, spaces.Discrete):
        parts.append(image(steps_figure(views["step"], (*names, "reward")), "predicted against real single steps"))
    return parts


def _moving(trajectory: dict[str, Any], spec: EnvSpec) -> bytes:
    space = spec.observation_space
    shape = (-1, *(space.shape or ()))
    real, imagined = (np.array(trajectory[key], float).reshape(shape) for key in ("real", "imagined"))
    return animate(real, imagined, lambda observation: draw_state(spec.env_id, observation.astype(space.dtype)))


def _calibration(card: dict[str, Any], names: Sequence[str]) -> list[str]:
    told = paragraph(f"Calibration: {calibration_told(card)}.")
    if card["reliability"]:
        return [told, image(reliability_figure(card), "accuracy against confidence")]
    if not card["coverage"]:
        return [told]
    ours = card["coverage"]["model"]
    places = [ours["levels"].index(level) for level in _LEVELS]
    rows = [
        [name, *([share(covered[i]) for i in places] if covered else ["never changes"] * len(places))]
        for name, covered in zip(names, ours["numbers"], strict=True)
    ]
    rows.append(["all", *(share(ours["pooled"]["value"][i]) for i in places)])
    head = ["share of held-out steps inside", *(f"{level:.0%} interval" for level in _LEVELS)]
    return [told, image(calibration_figure(card, names), "coverage of predicted intervals"), table(head, rows)]


def _ranking(ranking: dict[str, Any]) -> list[str]:
    told = paragraph(f"Policy ranking: {ranking_told(ranking)}.")
    if "missing" in ranking:
        return [told]
    rows = [
        [one["name"], *(f"{one[kind]:.1f} ± {one[f'{kind}_error']:.1f}" for kind in ("imagined", "real"))]
        for one in ranking["policies"]
    ]
    note = (
        f"{ranking['num_episodes']} episodes of each policy, in the model (from logged first observations, with the "
        "model's noise) and on the real environment. The exploitation gap is the imagined minus the real mean return "
        "of the policy that was trained inside, with a 95% interval. Errors are standard errors."
    )
    figure = image(ranking_figure(ranking), "imagined against real return of every policy", small=True)
    return [told, figure, table(["policy", "in the model", "for real"], rows), paragraph(note, "note")]
