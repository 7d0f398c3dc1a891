"""Which real environments are also at hand as compiled functions: their ids alone, so that asking imports nothing."""

CLASSIC_CONTROL = ("Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1")
"""Ids of the Gymnasium environments that `envs.gymnax_adapter.make_classic_control` has in JAX."""
