"""Real environments that are at hand as pure functions, by their id. Nothing heavy is imported before one is made."""

from typing import TYPE_CHECKING

from envs.compiled_ids import BRAX_IDS, CLASSIC_CONTROL
from envs.errors import unknown_name

if TYPE_CHECKING:
    from envs.functional import FunctionalEnv


def functional_copy(env_id: str) -> "FunctionalEnv":
    """Returns the environment, always the same object, so that it is compiled once.

    Raises:
        InputError: ``env_id`` is neither classic control nor one of brax's environments.
    """
    if env_id.startswith(BRAX_IDS):
        from envs.brax_adapter import brax_named

        return brax_named(env_id)
    if env_id in CLASSIC_CONTROL:
        from envs.gymnax_adapter import make_classic_control

        return make_classic_control(env_id)
    raise unknown_name("environment with compiled dynamics", env_id, CLASSIC_CONTROL)
