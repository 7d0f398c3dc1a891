"""Which real environments are also at hand as compiled functions: their ids alone, so that asking imports nothing."""

CLASSIC_CONTROL = ("Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1")
"""Ids of the Gymnasium environments that `envs.gymnax_adapter.make_classic_control` has in JAX."""

BRAX_IDS = "brax/"
"""How the ids of brax's environments begin: ``brax/hopper`` or ``brax/hopper-spring`` (`envs.brax_gym`)."""


def has_box_actions(env_id: str) -> bool:
    """Returns whether the actions of one of them are real numbers, without making it."""
    return env_id.startswith(BRAX_IDS) or env_id in ("MountainCarContinuous-v0", "Pendulum-v1")
