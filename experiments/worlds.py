"""What an agent can be trained on: a real environment by its id, or a stand-in by its folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium

from envs.artifact import read_artifact_json
from envs.compiled_ids import BRAX_IDS, CLASSIC_CONTROL
from envs.errors import InputError
from envs.functional_copies import functional_copy
from envs.spec import EnvSpec, make_real, spec_of
from worldmodels.configs import EpisodeConfig

if TYPE_CHECKING:
    from envs.functional import FunctionalEnv, Params

FUNCTIONAL_COPIES = CLASSIC_CONTROL
"""Real environments whose dynamics are also at hand as compiled functions, tested against Gymnasium's own."""


@dataclass(frozen=True)
class World:
    """Something to train on.

    Attributes:
        spec: of the real environment it stands for.
        functional: the environment as pure functions with its parameters, where training can be compiled whole.
        make_vector_env: makes so many rows of it, where training runs on the host.
    """

    spec: EnvSpec
    functional: "tuple[FunctionalEnv, Params] | None" = None
    make_vector_env: Callable[[int], gymnasium.vector.VectorEnv] | None = None


def open_world(source: str | Path, imagination: EpisodeConfig) -> World:
    """Returns the world that ``source`` names.

    Args:
        source: the folder of a world model or of a synthetic environment, or the id of a real environment.
        imagination: how world models are used.

    Raises:
        InputError: neither such a folder nor a known id.
    """
    if not Path(source).is_dir():
        if str(source) not in gymnasium.registry and ("/" in str(source) or str(source).startswith(".")):
            raise InputError(
                f"expected the folder of a world model or of a synthetic environment at {source}, found none"
            )
        return _real_world(str(source))
    kind = read_artifact_json(Path(source))["kind"]
    if kind == "world_model":
        return _model_world(Path(source), imagination)
    if kind == "synthetic_env":
        from synthetic_envs.saving import load_synthetic

        env, params = load_synthetic(source)
        return World(spec_of(env.spec.env_id), functional=(env, params))
    raise InputError(f"expected a world model or a synthetic environment to train on at {source}, found a {kind}")


def _real_world(env_id: str) -> World:
    if env_id not in FUNCTIONAL_COPIES:
        make_real(env_id).close()
    if env_id in FUNCTIONAL_COPIES or env_id.startswith(BRAX_IDS):
        env = functional_copy(env_id)
        return World(env.spec, functional=(env, env.default_params))
    return World(spec_of(env_id), make_vector_env=lambda n: gymnasium.make_vec(env_id, n))


def _model_world(path: Path, imagination: EpisodeConfig) -> World:
    from worldmodels.gym.rules import make_rules
    from worldmodels.gym.vector_env import WorldModelVectorEnv
    from worldmodels.saving import load_model

    model = load_model(path)
    rules = make_rules(model, imagination)
    return World(model.spec, make_vector_env=lambda num_envs: WorldModelVectorEnv(model, rules, num_envs))
