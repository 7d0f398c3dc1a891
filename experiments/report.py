"""The report of a study: one self-contained HTML file that opens offline."""

import base64
import html
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from envs.files import write_atomically
from experiments.figures import (
    bandit_figure,
    curves_figure,
    errors_figure,
    evolution_figure,
    imagined_figure,
    returns_figure,
)
from experiments.results import Results, Row

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2733; background: #fff; max-width: 62rem; margin: 2.5rem auto;
  padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p.lead { font-size: 1.05rem; color: #43505e; margin-top: 0; } p.note { color: #5d6b7a; font-size: .9rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .6rem; border-bottom: 1px solid #e3e8ee; text-align: right; }
th { font-size: .82rem; color: #5d6b7a; font-weight: 600; } th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
td.yes { color: #2f7d4b; font-weight: 600; } td.no { color: #b3471f; font-weight: 600; }
img { width: 100%; display: block; margin: .8rem 0; } details { margin-top: 1.5rem; }
pre { font-size: .8rem; overflow-x: auto;  background: #f5f7f9; padding: .8rem; }
"""


def write_report(results: Results, parts: dict[str, Any], folder: Path) -> Path:
    """Writes ``report.html``.

    Args:
        results: the table.
        parts: JSON by name: ``logs`` (num_steps, num_episodes, mean_return), ``quality``, ``trajectory``,
            ``evolution``, ``bandit_rewards``, ``curves`` (title to curve), ``names`` (of observation dimensions).
        folder: of the run.

    Returns:
        The file's path.
    """
    rows = [asdict(row) for row in results.rows]
    sections = [
        f"<h1>What stand-ins of {html.escape(results.env)} are worth</h1>",
        f'<p class="lead">{html.escape(verdict(results))}</p>',
        _table(results),
        _image(returns_figure(rows, results.threshold), "returns of every row with intervals and seeds"),
        f'<p class="note">{_how_to_read(results)}</p>',
        "<h2>Learning curves</h2>",
        _image(curves_figure(parts["curves"], results.threshold), "learning curves on each world"),
        f'<p class="note">{_curves_note(parts["curves"])}</p>',
        "<h2>The world model</h2>",
        _model_section(parts),
        "<h2>The evolved bandit</h2>",
        _bandit_section(parts, results),
        _details("Configuration", results.config),
        _details("Versions", results.versions),
    ]
    title = html.escape(f"Simulacra: {results.env}")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = "\n".join(sections)
    page = f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>{body}</body></html>\n'
    write_atomically(folder / "report.html", page)
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
    lines = ["<table><thead><tr>", *(f"<th>{column}</th>" for column in head), "</tr></thead><tbody>"]
    for row in results.rows:
        solved = None if row.method == "random" else results.solved(row)
        mark = {True: '<td class="yes">yes</td>', False: '<td class="no">no</td>', None: "<td></td>"}[solved]
        cells = [row.world, row.method, f"{row.iqm:.1f}", f"{row.ci_low:.1f} to {row.ci_high:.1f}",
                 f"{row.worst:.1f}", f"{row.real_steps:,}", f"{row.seconds:.1f}"]  # fmt: skip
        lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + mark + "</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def _how_to_read(results: Results) -> str:
    seeds, episodes = len(results.rows[0].seeds), len(results.rows[0].seeds[0].returns)
    return (
        f"Every row was judged on Gymnasium's own {html.escape(results.env)}: {seeds} seeds, {episodes} episodes each. "
        "Return is the interquartile mean over seeds of a seed's mean return, with a 95% bootstrap interval. "
        "Real steps are what one such policy took of the real environment: its own training, or the logs, or the "
        "evolution. Seconds are wall time for all seeds, with preparation (fitting the model, evolving the "
        "bandit); a planner's include acting. All planner seeds and all agents of a row share one model or one bandit."
    )


def _curves_note(curves: dict[str, dict[str, Any]]) -> str:
    measured = next(iter(curves.values()))["measured_on"]
    return (
        f"One thin line a seed, their median thick. Measured on {html.escape(measured)} while training, for the eye "
        "only: these episodes are not counted and decide nothing."
    )


def _model_section(parts: dict[str, Any]) -> str:
    quality, logs, ends = parts["quality"], parts["logs"], parts["quality"]["termination"]
    horizon = len(quality["model"]["error"])
    told = (
        f"Learned from {logs['num_steps']:,} logged steps in {logs['num_episodes']:,} episodes (mean return "
        f"{logs['mean_return']:.0f}). On {quality['num_episodes']} held-out episodes the error after one step is "
        f"{quality['model']['error'][0]:.4f} standard deviations (predicting no change: "
        f"{quality['no_change']['error'][0]:.4f}), after {horizon} steps {quality['model']['error'][-1]:.3f} "
        f"({quality['no_change']['error'][-1]:.3f}). Terminations: {ends['accuracy']:.2%} of steps judged rightly, "
        f"{_share(ends['recall'])} of the real ones found, {_share(ends['precision'])} of the predicted ones real."
    )
    figures = [
        _image(errors_figure(quality), "open-loop error against the horizon"),
        _image(imagined_figure(parts["trajectory"], parts["names"]), "imagined and real trajectories"),
    ]
    return f"<p>{html.escape(told)}</p>{''.join(figures)}"


def _share(value: float | None) -> str:
    return "none seen" if value is None else f"{value:.0%}"


def _bandit_section(parts: dict[str, Any], results: Results) -> str:
    history = parts["evolution"]
    told = (
        f"Evolved from scratch in {len(history['fitness_mean'])} generations, {history['seconds']:.0f} seconds and "
        f"{history['real_steps']:,} steps on the real dynamics. An episode in it is one step: a context, an action, a "
        "reward. It is a specialist: evolved for this agent and these settings."
    )
    rewards = _image(bandit_figure(parts["bandit_rewards"], parts["names"]), "the bandit's reward and its contexts")
    fitness = _image(evolution_figure(history, results.threshold), "fitness of the evolution")
    return f"<p>{html.escape(told)}</p>{rewards}{fitness}"


def _details(title: str, content: Any) -> str:
    lines = "\n".join(_flat(content))
    return f"<details><summary>{title}</summary><pre>{html.escape(lines)}</pre></details>"


def _flat(content: Any, prefix: str = "") -> Sequence[str]:
    if isinstance(content, dict):
        return [line for key, value in content.items() for line in _flat(value, f"{prefix}.{key}".lstrip("."))]
    return [f"{prefix} = {content}"]


def _image(svg: str, alt: str) -> str:
    data = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/svg+xml;base64,{data}">'
