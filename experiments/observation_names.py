"""What reports call the numbers of an observation."""

from gymnasium import spaces

from envs.spec import EnvSpec

_NAMES = {
    "CartPole-v1": ("cart position (m)", "cart velocity (m/s)", "pole angle (rad)", "pole velocity (rad/s)"),
    "simulacra/PositionOnlyCartPole-v1": ("cart position (m)", "pole angle (rad)"),
    "simulacra/PositionOnlyPendulum-v1": ("cosine of the angle", "sine of the angle"),
    "Pendulum-v1": ("cosine of the angle", "sine of the angle", "angular velocity (rad/s)"),
    "Acrobot-v1": (
        "cosine of angle 1", "sine of angle 1", "cosine of angle 2", "sine of angle 2", "velocity 1 (rad/s)",
        "velocity 2 (rad/s)",
    ),
    "MountainCar-v0": ("position", "velocity"),
    "MountainCarContinuous-v0": ("position", "velocity"),
    "InvertedPendulum-v5": ("cart position (m)", "pole angle (rad)", "cart velocity (m/s)", "pole velocity (rad/s)"),
}  # fmt: skip


def observation_names(spec: EnvSpec) -> tuple[str, ...]:
    """Returns a name for each number of a flat observation; one name where the observation is Discrete."""
    if isinstance(spec.observation_space, spaces.Discrete):
        return ("state",)
    size = spaces.utils.flatdim(spec.observation_space)
    known = _NAMES.get(spec.env_id, ())
    return known if len(known) == size else tuple(f"observation {i}" for i in range(size))
