"""A world model's quality as lines of text, for terminals."""

from typing import Any


def quality_lines(quality: dict[str, Any]) -> list[str]:
    """Returns a world model's quality, the JSON of `Quality`, as lines of text for a terminal."""
    lines = []
    for horizon in (1, len(quality["model"]["error"])):
        ours, still = (quality[key]["error"][horizon - 1] for key in ("model", "no_change"))
        lines.append(f"error after {horizon:>2} steps: {ours:.4f} standard deviations (no change: {still:.4f})")
    ends = quality["termination"]
    recall, precision = ("none" if ends[key] is None else f"{ends[key]:.1%}" for key in ("recall", "precision"))
    lines.append(f"terminations: accuracy {ends['accuracy']:.2%}, recall {recall}, precision {precision} "
                 f"({ends['num_terminated']} in {quality['num_steps']} held-out steps)")  # fmt: skip
    return lines
