"""A world model's quality card as lines of text, for terminals, and the words that all its readers share."""

from collections.abc import Sequence
from typing import Any

from experiments.model_card.titles import TITLES

_LABEL_WIDTH = 20
_ENOUGH_STARTS = 20


def quality_lines(card: dict[str, Any]) -> list[str]:
    """Returns a quality card (`experiments.model_card.card.make_card`) as lines of text: a table, then sentences."""
    head, rows = summary(card)
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    table = [_aligned(row, widths) for row in [head, *rows]]
    facts = [
        ("held out", f"{card['num_episodes']:,} episodes, {card['num_steps']:,} steps; errors in {card['unit']}"),
        *((f"error, {steps(k)}", _interval(card, k)) for k in shown_horizons(card)),
        ("calibration", calibration_told(card)),
        ("terminations", terminations_told(card)),
        ("uncertainty", uncertainty_told(card)),
        ("policy ranking", ranking_told(card["ranking"])),
        *(("warning", warning) for warning in card["warnings"]),
    ]
    return [*table, *(f"{label + ':':<{_LABEL_WIDTH}}{text}" for label, text in facts)]


def summary(card: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Returns the head and the rows of the table that shows the model, first, beside the baselines."""
    horizons, vectors = shown_horizons(card), bool(card["coverage"])
    head = ["", *(f"error, {steps(k)}" for k in horizons), "surprise", "90% covers" if vectors else "Brier score",
            "reward error", "ends: F1"]  # fmt: skip
    rows = [
        [
            TITLES[name],
            *(number(curve["value"][k - 1]) for k in horizons),
            number(card["surprise"][name]["value"]),
            share(coverage_at(card, name, 0.9)) if vectors else _brier(card, name),
            number(card["reward_error"][name]),
            "none" if (ends := card["termination"][name]["f1"]) is None else number(ends),
        ]
        for name, curve in card["open_loop"].items()
    ]
    return head, rows


def verdict(card: dict[str, Any]) -> str:
    """Returns in a sentence how the model's open-loop error compares with that of the best baseline."""
    told = []
    for horizon in (shown_horizons(card)[0], shown_horizons(card)[-1]):
        errors = {name: curve["value"][horizon - 1] for name, curve in card["open_loop"].items()}
        ours = errors.pop("model")
        known = {name: error for name, error in errors.items() if error is not None}
        best = min(known, key=lambda name: known[name])
        if ours is None or known[best] == 0:
            told.append(f"after {steps(horizon)} {number(ours)} against {number(known[best])} ({TITLES[best]})")
        else:
            told.append(f"after {steps(horizon)} {number(ours / known[best], 2)} times that of {TITLES[best]}")
    return f"Its error beside the best baseline's: {', '.join(dict.fromkeys(told))}."


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *cells])


def _brier(card: dict[str, Any], name: str) -> str:
    return number(card["reliability"][name]["brier"]) if name in card["reliability"] else ""


def _interval(card: dict[str, Any], horizon: int) -> str:
    ours = {key: number(values[horizon - 1]) for key, values in card["open_loop"]["model"].items()}
    return f"{ours['value']}, 95% interval {ours['low']} to {ours['high']}"


def steps(count: int) -> str:
    """Returns the number with its noun."""
    return "1 step" if count == 1 else f"{count} steps"


def shown_horizons(card: dict[str, Any]) -> list[int]:
    """Returns the horizons that are told in words: 1, 5 and the longest that 20 starts reach, where there are any."""
    counts = card["num_starts"]
    longest = sum(count >= min(_ENOUGH_STARTS, counts[0]) for count in counts)
    return sorted({1, min(5, longest), longest})


def number(value: float | None, digits: int = 3) -> str:
    """Returns a number of so many significant digits; None is told as what diverged."""
    return "diverged" if value is None else f"{value:.{digits}g}"


def share(value: float | None) -> str:
    """Returns a share as a percentage; None is told as one of nothing."""
    return "of none" if value is None else f"{value:.1%}"


def calibration_told(card: dict[str, Any]) -> str:
    """Returns what the card says of calibration, in words."""
    if card["reliability"]:
        told = card["reliability"]["model"]
        return f"probability off by {told['expected_error']:.3f} on average, Brier score {told['brier']:.3f}"
    if not card["coverage"]:
        return "nothing ever changed in the log, so there is nothing to be sure of"
    covered = [coverage_at(card, "model", level) for level in (0.5, 0.8, 0.9, 0.95)]
    return "intervals of 50/80/90/95% cover " + "/".join(f"{100 * value:.1f}" for value in covered) + "%"


def coverage_at(card: dict[str, Any], name: str, level: float) -> float:
    """Returns the share of numbers inside the intervals of ``level``, one of the card's, that ``name`` predicts."""
    covered = card["coverage"][name]
    value: float = covered["pooled"]["value"][covered["levels"].index(level)]
    return value


def terminations_told(card: dict[str, Any]) -> str:
    """Returns what the card says of terminations, in words."""
    if not card["termination_in_log"]:
        return "never seen in the log: the model cannot know what ends an episode"
    ours = card["termination"]["model"]
    counted = f"{ours['num_terminated']} in {card['num_rows']:,} held-out steps, {ours['num_predicted']} predicted"
    if ours["f1"] is None:
        return f"none held out and none predicted ({counted})"
    return (f"precision {share(ours['precision'])}, recall {share(ours['recall'])}, F1 {number(ours['f1'])} "
            f"({counted})")  # fmt: skip


def uncertainty_told(card: dict[str, Any]) -> str:
    """Returns what the card says of uncertainty and error, in words."""
    told = card["uncertainty"]["one_step"]
    known = [f"{kind} {value:.2f}" for kind, value in told.items() if value is not None]
    if not known:
        return "the same at every step, so it tells nothing of the error"
    return f"rank correlation with the one-step error: {', '.join(known)}"


def ranking_told(ranking: dict[str, Any]) -> str:
    """Returns what the card says of policies in the model and for real, in words."""
    if "missing" in ranking:
        return f"not measured: {ranking['missing']}"
    agree = "not defined" if ranking["spearman"] is None else f"{ranking['spearman']:.2f}"
    return (f"Spearman {agree} over {len(ranking['policies'])} policies; exploitation gap {ranking['gap']:.1f} "
            f"[{ranking['gap_low']:.1f}, {ranking['gap_high']:.1f}]")  # fmt: skip
