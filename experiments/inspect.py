"""What a folder is: a log, an artifact of some kind, or the run of a study."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from envs.artifact import load_artifact
from envs.errors import InputError
from envs.files import read_json


def inspect_lines(path: Path, as_json: bool = False) -> list[str]:
    """Returns lines of text that say what is at ``path``, every checksum verified.

    Raises:
        InputError: nothing there that Simulacra knows, or it is damaged.
    """
    try:
        content = _describe(path)
        return [json.dumps(content, indent=2)] if as_json else _as_lines(content)
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} was damaged or edited: {error!r} is missing or wrong") from None


def _as_lines(content: dict[str, Any]) -> list[str]:
    if "quality" in content:
        from experiments.model_card.text import quality_lines

        content = {**content, "quality": quality_lines(content["quality"])}
    width = max(18, 2 + max(map(len, content)))
    return [f"{key + ':':<{width}}{_as_text(value, width)}" for key, value in content.items()]


def _as_text(value: Any, width: int) -> str:
    if isinstance(value, list):
        return ("\n" + " " * width).join(value)
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _describe(path: Path) -> dict[str, Any]:
    if (path / "artifact.json").is_file():
        return _describe_artifact(path)
    if (path / "manifest.json").is_file():
        return _describe_log(path)
    if (path / "results.json").is_file():
        return _describe_run(path)
    raise InputError(f"expected a log, an artifact or a finished run at {path}, found none of their files")


def _describe_artifact(path: Path) -> dict[str, Any]:
    artifact = load_artifact(path)
    spec, provenance = artifact.spec, artifact.provenance
    content: dict[str, Any] = {
        "kind": artifact.kind,
        "family": artifact.family,
        "environment": spec.env_id,
        "observations": str(spec.observation_space),
        "actions": str(spec.action_space),
        "parameters": int(sum(np.size(tensor) for tensor in artifact.tensors.values())),
        "configuration": artifact.config,
    }
    for key in ("trained_on", "seed", "log_sha256"):
        if key in provenance:
            content[key.replace("_", " ")] = provenance[key]
    if "quality" in provenance:
        content["quality"] = provenance["quality"]
    if "distillation" in provenance:
        agreement, steps = (provenance["distillation"][name] for name in ("agreement", "real_steps"))
        content["distilled"] = f"from {provenance['teacher']}, with {steps:,} real steps; agrees in {agreement:.1%}"
    if "history" in provenance:
        history = provenance["history"]
        content["evolution"] = (
            f"{len(history['fitness_mean'])} generations, {history['real_steps']:,} real steps, "
            f"fresh agents reach {history['best_check']:.1f} in the best"
        )
    return content


def _describe_log(path: Path) -> dict[str, Any]:
    from envs.logs import open_log

    log = open_log(path)
    returns = [float(log.episode(i).rewards.sum()) for i in range(min(log.num_episodes, 1000))]
    return {
        "kind": "log",
        "environment": log.spec.env_id,
        "observations": str(log.spec.observation_space),
        "actions": str(log.spec.action_space),
        "steps": log.num_steps,
        "episodes": f"{log.num_episodes} of {int(log.lengths.min())} to {int(log.lengths.max())} steps",
        "return": f"mean {np.mean(returns):.1f}, from {min(returns):.1f} to {max(returns):.1f}",
        "terminated": f"{int(np.asarray(log.terminated).sum())} episodes",
        "sha256": log.sha256,
        "source": log.manifest["source"],
    }


def _describe_run(path: Path) -> dict[str, Any]:
    results = read_json(path / "results.json")
    rows = {f"{row['method']} on {row['world']}": f"{row['iqm']:.1f} [{row['ci_low']:.1f}, {row['ci_high']:.1f}]"
            for row in results["rows"]}  # fmt: skip
    return {"kind": "run", "environment": results["env"], "threshold": results["threshold"], **rows}
