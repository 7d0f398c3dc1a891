"""One agent trained on any world, resumable, and saved as a policy with its learning curve and metrics beside it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents.agent_policy import save_policy
from agents.configs import AgentConfig
from agents.table import name_of
from envs.artifact import package_versions, require_artifact_place
from envs.files import plain_json
from envs.logs import Log, open_log
from experiments.finished_work import is_finished
from experiments.train import Curve, FromLog, provenance_of, require_fit, train
from experiments.train_folder import TrainFolder
from experiments.worlds import open_world
from worldmodels.configs import EpisodeConfig


@dataclass(frozen=True)
class Source:
    """What an agent learns from.

    Attributes:
        world: see `experiments.worlds.open_world`; None to learn from a log alone.
        logs: folder of a log to learn from, first or alone; None for none.
        gradient_steps: steps of the optimiser on the log.
        imagination: how a world model is used.
    """

    world: str | None
    logs: Path | None
    gradient_steps: int
    imagination: EpisodeConfig

    @property
    def title(self) -> str:
        """What it is called in a report."""
        return " and ".join(str(one) for one in (self.logs, self.world) if one is not None)


def train_policy(
    source: Source, out: Path, config: AgentConfig, seed: int, resume: bool = False, overwrite: bool = False
) -> Curve | None:
    """Trains an agent and saves its policy, with ``report.html`` and its metrics beside it.

    Training works in the folder ``<out>.train``, which is removed once the policy is there.

    Args:
        source: what it learns from.
        out: folder of the policy.
        config: of the agent, which it thereby chooses.
        seed: fixes everything.
        resume: go on with the training that is there, or start where there is none.
        overwrite: replace what is at ``out`` and an unfinished training beside it.

    Returns:
        The learning curve; None where a complete policy was there to resume.

    Raises:
        InputError: see `experiments.train.train`; ``out`` exists and is not what is resumed, or was trained otherwise.
    """
    log = None if source.logs is None else open_log(source.logs)
    from_log = None if log is None else FromLog(log, source.gradient_steps)
    work = _work(source, config, seed, log)
    place = out.with_name(f"{out.name}.train")
    if resume and is_finished(out, "policy", "training", work):
        TrainFolder(place, {}, overwrite=True).remove()
        return None
    require_artifact_place(out, overwrite)
    world = None if source.world is None else open_world(source.world, source.imagination)
    require_fit(world, config, from_log)
    folder = TrainFolder(place, {**work, "versions": package_versions()}, [seed], resume, overwrite)
    training = train(world, config, [seed], config.label, folder, from_log)
    provenance = {**provenance_of(source.title, training), "seed": seed, "training": plain_json(work)}
    from experiments.train_report import training_page  # not before the training: drawing takes long to import

    beside: dict[str, str | bytes] = {"report.html": training_page(training, config, source.title), **folder.records()}
    save_policy(out, training.policies[0], provenance, overwrite, beside)
    folder.remove()
    return training.curve


def _work(source: Source, config: AgentConfig, seed: int, log: Log | None) -> dict[str, Any]:
    """Everything that decides what the training does."""
    work: dict[str, Any] = {"algorithm": name_of(config), "agent": asdict(config), "seed": seed}
    if source.world is not None:
        work |= {"world": source.world, "imagination": asdict(source.imagination)}
    if log is not None:
        work |= {"log_sha256": log.sha256, "gradient_steps": source.gradient_steps}
    return work
