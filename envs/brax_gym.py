"""brax environments behind Gymnasium: what ``gymnasium.make("brax/hopper")`` and ``"brax/hopper-spring"`` call.

They are real environments to us: agents are trained and judged on them. Their dynamics are brax's own, not those of
Gymnasium's environments of like names.
"""

from gymnasium.vector import AutoresetMode

from envs.brax_adapter import brax_named
from envs.functional_gym import FunctionalGymEnv, FunctionalVectorEnv


def make_env(env_id: str) -> FunctionalGymEnv:
    """Returns the brax environment of an id; raises `InputError` for a backend that it does not run on."""
    return FunctionalGymEnv(brax_named(env_id))


def make_vector_env(
    env_id: str,
    num_envs: int = 1,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    max_episode_steps: int | None = None,  # noqa: ARG001, Gymnasium hands over what the id says: the limit is brax's
) -> FunctionalVectorEnv:
    """Returns ``num_envs`` copies of it as one `VectorEnv`."""
    return FunctionalVectorEnv(brax_named(env_id), num_envs, None, autoreset_mode)
