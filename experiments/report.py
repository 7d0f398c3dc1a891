"""The report of a study: one self-contained HTML file that opens offline."""

import html
from dataclasses import asdict
from pathlib import Path
from typing import Any

from envs.files import write_atomically
from envs.spec import EnvSpec
from experiments.figures import bandit_figure, curves_figure, evolution_figure, returns_figure
from experiments.model_card.report import model_sections
from experiments.page import details, image, page, paragraph
from experiments.results import Results, Row


def write_report(results: Results, parts: dict[str, Any], folder: Path) -> Path:
    """Writes ``report.html``.

    Args:
        results: the table.
        parts: JSON by name: ``logs`` (num_steps, num_episodes, mean_return), ``quality`` (the world model's card) and
            ``views`` (see `experiments.model_card.report.report_page`), ``spec`` (of the environment), ``evolution``,
            ``bandit_rewards``, ``curves`` (title to curve), ``names`` (of observation dimensions).
        folder: of the run.

    Returns:
        The file's path.
    """
    rows = [asdict(row) for row in results.rows]
    sections = [
        f"<h1>What stand-ins of {html.escape(results.env)} are worth</h1>",
        paragraph(verdict(results), "lead"),
        _table(results),
        image(returns_figure(rows, results.threshold), "returns of every row with intervals and seeds"),
        paragraph(_how_to_read(results), "note"),
        "<h2>Learning curves</h2>",
        image(curves_figure(parts["curves"], results.threshold), "learning curves on each world"),
        paragraph(_curves_note(parts["curves"]), "note"),
        "<h2>The world model</h2>",
        *_model_section(parts),
        "<h2>The evolved bandit</h2>",
        _bandit_section(parts, results),
        details("Configuration", results.config),
        details("Versions", results.versions),
    ]
    write_atomically(folder / "report.html", page(f"Simulacra: {results.env}", sections))
    return folder / "report.html"


def verdict(results: Results) -> str:
    """Returns what the table says, in a sentence or two: which ways solved the environment and which did not."""
    if results.threshold is None:
        return f"Gymnasium names no return from which {results.env} is solved; compare the rows with the random one."
    judged = [row for row in results.rows if row.method != "random"]
    solved = [_name(row) for row in judged if results.solved(row)]
    failed = [f"{_name(row)} ({row.iqm:.0f})" for row in judged if not results.solved(row)]
    parts = [f"Solved on the real environment (interquartile mean of at least {results.threshold:g}): "
             f"{', '.join(solved) or 'by none'}."]  # fmt: skip
    if failed:
        parts.append(f"Not solved: {', '.join(failed)}.")
    return " ".join(parts)


def _name(row: Row) -> str:
    return f"{row.method} on {row.world}"


def _table(results: Results) -> str:
    head = ["world", "method", "return", "95% interval", "worst seed", "real steps", "seconds", "solved"]
    titles = [f"<th{_side(i)}>{column}</th>" for i, column in enumerate(head)]
    lines = ["<table><thead><tr>", *titles, "</tr></thead><tbody>"]
    for row in results.rows:
        solved = None if row.method == "random" else results.solved(row)
        mark = {True: '<td class="yes">yes</td>', False: '<td class="no">no</td>', None: "<td></td>"}[solved]
        cells = [row.world, row.method, f"{row.iqm:.1f}", f"{row.ci_low:.1f} to {row.ci_high:.1f}",
                 f"{row.worst:.1f}", f"{row.real_steps:,}", f"{row.seconds:.1f}"]  # fmt: skip
        written = [f"<td{_side(i)}>{html.escape(cell)}</td>" for i, cell in enumerate(cells)]
        lines.append("<tr>" + "".join(written) + mark + "</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def _side(column: int) -> str:
    """The attribute that puts the words of the first two columns to the left."""
    return ' class="name"' if column < 2 else ""


def _how_to_read(results: Results) -> str:
    seeds, episodes = len(results.rows[0].seeds), len(results.rows[0].seeds[0].returns)
    return (
        f"Every row was judged on Gymnasium's own {results.env}: {seeds} seeds, {episodes} episodes each. "
        "Return is the interquartile mean over seeds of a seed's mean return, with a 95% bootstrap interval. "
        "Real steps are what one such policy took of the real environment: its own training, or the logs, or the "
        "evolution. Seconds are wall time for all seeds, with preparation (fitting the model, evolving the "
        "bandit); a planner's include acting. All planner seeds and all agents of a row share one model or one bandit."
    )


def _curves_note(curves: dict[str, dict[str, Any]]) -> str:
    measured = next(iter(curves.values()))["measured_on"]
    return (
        f"One thin line a seed, their median thick. Measured on {measured} while training, for the eye "
        "only: these episodes are not counted and decide nothing."
    )


def _model_section(parts: dict[str, Any]) -> list[str]:
    card, logs = parts["quality"], parts["logs"]
    told = (
        f"Learned from {logs['num_steps']:,} logged steps in {logs['num_episodes']:,} episodes (mean return "
        f"{logs['mean_return']:.0f}) and measured on {card['num_episodes']} episodes that it has not seen."
    )
    spec = EnvSpec.from_json(parts["spec"])
    return [paragraph(told), *model_sections(card, parts["views"], spec, parts["names"], "h3")]


def _bandit_section(parts: dict[str, Any], results: Results) -> str:
    history = parts["evolution"]
    told = (
        f"Evolved from scratch in {len(history['fitness_mean'])} generations, {history['seconds']:.0f} seconds and "
        f"{history['real_steps']:,} steps on the real dynamics. An episode in it is one step: a context, an action, a "
        "reward. It is a specialist: evolved for this agent and these settings."
    )
    rewards = image(bandit_figure(parts["bandit_rewards"], parts["names"]), "the bandit's reward and its contexts")
    fitness = image(evolution_figure(history, results.threshold), "fitness of the evolution")
    return f"<p>{html.escape(told)}</p>{rewards}{fitness}"
