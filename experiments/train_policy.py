"""One agent trained on any world, resumable, and saved as a policy with its learning curve and metrics beside it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.agent_policy import save_policy
from agents.configs import AgentConfig
from agents.table import name_of
from envs.artifact import package_versions, read_artifact_json, require_artifact_place
from envs.errors import InputError
from envs.files import plain_json
from envs.work_folder import differences
from experiments.train import Curve, provenance_of, train
from experiments.train_folder import TrainFolder
from experiments.worlds import open_world
from worldmodels.configs import EpisodeConfig


def train_policy(
    world: str,
    out: Path,
    config: AgentConfig,
    seed: int,
    imagination: EpisodeConfig,
    resume: bool = False,
    overwrite: bool = False,
) -> Curve | None:
    """Trains an agent and saves its policy, with ``report.html`` and its metrics beside it.

    Training works in the folder ``<out>.train``, which is removed once the policy is there.

    Args:
        world: see `experiments.worlds.open_world`.
        out: folder of the policy.
        config: of the agent, which it thereby chooses.
        seed: fixes everything.
        imagination: how a world model is used.
        resume: go on with the training that is there, or start where there is none.
        overwrite: replace what is at ``out`` and an unfinished training beside it.

    Returns:
        The learning curve; None where a complete policy was there to resume.

    Raises:
        InputError: see `experiments.train.train`; ``out`` exists and is not what is resumed, or was trained otherwise.
    """
    work = {
        "world": world,
        "algorithm": name_of(config),
        "agent": asdict(config),
        "seed": seed,
        "imagination": asdict(imagination),
    }
    place = out.with_name(f"{out.name}.train")
    if resume and _finished(out, work):
        TrainFolder(place, {}, overwrite=True).remove()
        return None
    require_artifact_place(out, overwrite)
    opened = open_world(world, imagination)
    folder = TrainFolder(place, {**work, "versions": package_versions()}, [seed], resume, overwrite)
    training = train(opened, config, [seed], name_of(config).upper(), folder)
    provenance = {**provenance_of(world, training), "seed": seed, "training": plain_json(work)}
    from experiments.train_report import training_page  # not before the training: drawing takes long to import

    beside: dict[str, str | bytes] = {"report.html": training_page(training, config, world), **folder.records()}
    save_policy(out, training.policies[0], provenance, overwrite, beside)
    folder.remove()
    return training.curve


def _finished(out: Path, work: dict[str, Any]) -> bool:
    """Whether the policy of this work is there; raises `InputError` where it is another's."""
    if not (out / "artifact.json").is_file():
        return False
    changed = differences(read_artifact_json(out, "policy")["provenance"].get("training"), plain_json(work))
    if changed:
        raise InputError(f"cannot resume {out} with other settings: {'; '.join(changed)}")
    return True
