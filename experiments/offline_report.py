"""The report of an offline study: one self-contained HTML file that opens offline."""

import html
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from envs.files import write_atomically
from envs.logs import Log
from experiments.figures import curves_figure, returns_figure
from experiments.model_card.report import model_sections
from experiments.observation_names import observation_names
from experiments.page import details, image, page, paragraph, table
from experiments.results import Gap, Results, Row


def write_offline_report(
    results: Results, gap: Gap, log: Log, model: dict[str, Any], curves: list[dict[str, Any]], folder: Path
) -> Path:
    """Writes ``report.html``.

    Args:
        results: the table: the random policy, then the agent.
        gap: what the same policies return inside the model.
        log: all that was learned from.
        model: ``quality`` (the model's card, or None) and ``views`` (see `experiments.model_card.report.report_page`).
        curves: JSON of each seed's `experiments.train.Curve`.
        folder: of the run.

    Returns:
        The file's path.
    """
    agent = results.rows[-1]
    curve = {**curves[0], "returns": [curve["returns"][0] for curve in curves]}
    sections = [
        f"<h1>{agent.method.upper()} from logs of {html.escape(results.env)}</h1>",
        paragraph(offline_verdict(results, log), "lead"),
        _table(results),
        image(returns_figure([asdict(row) for row in results.rows], results.threshold), "returns with intervals"),
        paragraph(_how_to_read(results), "note"),
        "<h2>What it promised</h2>",
        _gap_table(agent, gap),
        paragraph(_gap_note(), "note"),
        "<h2>Learning curves</h2>",
        image(curves_figure({f"{agent.method.upper()} in the model": curve}, results.threshold), "learning curves"),
        paragraph(_curves_note(curve["measured_on"]), "note"),
        "<h2>The world model</h2>",
        *_model(model, log),
        details("Configuration", results.config),
        details("Versions", results.versions),
    ]
    write_atomically(folder / "report.html", page(f"Simulacra: {results.env} from logs", sections))
    return folder / "report.html"


def _model(model: dict[str, Any], log: Log) -> list[str]:
    """The card of the model; one that was saved without a card has none to show."""
    if model["quality"] is None:
        return [paragraph("It came without a quality card.", "note")]
    return model_sections(model["quality"], model["views"], log.spec, observation_names(log.spec), "h3")


def offline_verdict(results: Results, log: Log) -> str:
    """Returns what came of it, in two sentences."""
    random, agent = results.rows
    solved = {True: ", which Gymnasium calls solved", False: ", short of what Gymnasium calls solved", None: ""}
    logged = np.mean([log.episode(i).rewards.sum() for i in range(log.num_episodes)])
    return (
        f"Trained only inside a world model of {log.num_steps:,} logged steps, {agent.method.upper()} returns "
        f"{agent.iqm:.1f} on the real environment{solved[results.solved(agent)]} (worst seed {agent.worst:.1f}). "
        f"The logged episodes return {logged:.1f} on average, random actions {random.iqm:.1f}."
    )


def _table(results: Results) -> str:
    head = ["world", "method", "return", "95% interval", "worst seed", "real steps", "seconds"]
    rows = [
        [row.world, row.method, f"{row.iqm:.1f}", f"{row.ci_low:.1f} to {row.ci_high:.1f}", f"{row.worst:.1f}",
         f"{row.real_steps:,}", f"{row.seconds:.1f}"]
        for row in results.rows
    ]  # fmt: skip
    return table(head, rows, num_names=2, ours=len(rows) - 1)


def _gap_table(agent: Row, gap: Gap) -> str:
    rows = [
        [f"seed {real.seed}", f"{np.mean(imagined.returns):.1f}", f"{np.mean(real.returns):.1f}",
         f"{np.mean(imagined.returns) - np.mean(real.returns):+.1f}"]
        for imagined, real in zip(gap.imagined, agent.seeds, strict=True)
    ]  # fmt: skip
    gaps = f"{gap.gap:+.1f} ({gap.gap_low:+.1f} to {gap.gap_high:+.1f})"
    rows.append(["interquartile mean", f"{gap.imagined_iqm:.1f}", f"{agent.iqm:.1f}", gaps])
    return table(["", "in the model", "for real", "gap"], rows, ours=len(rows) - 1)


def _gap_note() -> str:
    return (
        "The same policies, run in the model that they were trained in (from logged first observations, with the "
        "model's noise) and for real. A gap well above 0 says that they exploit the model's errors."
    )


def _how_to_read(results: Results) -> str:
    seeds, episodes = len(results.rows[0].seeds), len(results.rows[0].seeds[0].returns)
    return (
        f"Judged on Gymnasium's own {results.env}: {seeds} seeds, {episodes} episodes each. Return is the "
        "interquartile mean over seeds of a seed's mean return, with a 95% bootstrap interval. All seeds share one log "
        "and one model. Seconds are wall time, fitting the model included."
    )


def _curves_note(measured_on: str) -> str:
    return (
        f"One thin line a seed, their median thick. Measured on {measured_on} while training, for the eye only: these "
        "episodes decide nothing, and the agent never learns from them."
    )
