"""Registers Simulacra's environments with Gymnasium as soon as Gymnasium is imported, and costs nothing before.

Gymnasium 1.x has no plugin loader any more, yet ``gymnasium.make("simulacra/WorldModel-v0", path=...)`` is to work
after a bare ``import gymnasium``. So this module is installed at the top of ``site-packages``, beside
``simulacra_gymnasium.pth``, whose one line imports it when Python starts. All it then does is to put a finder on
`sys.meta_path` that waits for ``gymnasium.envs``, registers our ids once that has been imported, and goes.

It imports nothing, least of all our packages: the ids lead to strings that Gymnasium resolves when an environment is
made, so a package ``envs`` of the user's is not in its way. `register` is also our entry point ``gymnasium.envs``, for
a Gymnasium that does load plugins (before 1.0).
"""

import sys

_WAITED_FOR = "gymnasium.envs"
_IDS = {
    "simulacra/WorldModel-v0": ("worldmodels.gym.env:make_env", "worldmodels.gym.vector_env:make_vector_env"),
    "simulacra/Synthetic-v0": ("synthetic_envs.gym:make_env", "synthetic_envs.gym:make_vector_env"),
}
_REAL_IDS = {  # entry point, episode limit, return that counts as solved: the last two as Gymnasium has them
    "simulacra/PositionOnlyCartPole-v1": ("envs.position_only:make_cartpole", 500, 475.0),
    "simulacra/PositionOnlyPendulum-v1": ("envs.position_only:make_pendulum", 200, None),
}
_ZOO = (  # of `synthetic_envs.zoo`
    "Acrobot-bandit-v1", "Acrobot-mdp-v1", "CartPole-bandit-v1", "CartPole-mdp-v1", "InvertedPendulum-bandit-v1",
    "MountainCar-bandit-v1", "MountainCar-reward-v1", "MountainCarContinuous-bandit-v1", "Pendulum-bandit-v1",
)  # fmt: skip
_BRAX = (  # names of `envs.brax_adapter.BRAX`, which importing would take seconds
    "ant", "fast", "halfcheetah", "hopper", "humanoid", "humanoidstandup", "inverted_double_pendulum",
    "inverted_pendulum", "pusher", "reacher", "swimmer", "walker2d",
)  # fmt: skip
_BRAX_BACKENDS = ("generalized", "positional", "spring", "mjx")


def register() -> None:
    """Registers our environments with Gymnasium; a second call does nothing."""
    from gymnasium.envs import registration

    for env_id, (entry_point, vector_entry_point) in _IDS.items():
        if env_id not in registration.registry:
            # Our tests check these environments; Gymnasium's passive checker would only slow each first step.
            registration.register(
                env_id, entry_point=entry_point, vector_entry_point=vector_entry_point, disable_env_checker=True
            )
    for env_id, (entry_point, limit, threshold) in _REAL_IDS.items():
        if env_id not in registration.registry:
            registration.register(
                env_id,
                entry_point=entry_point,
                max_episode_steps=limit,
                reward_threshold=threshold,
                disable_env_checker=True,
            )
    for name in _ZOO:
        if f"simulacra/{name}" not in registration.registry:
            registration.register(
                f"simulacra/{name}",
                entry_point="synthetic_envs.zoo:make_env",
                vector_entry_point="synthetic_envs.zoo:make_vector_env",
                disable_env_checker=True,
                kwargs={"name": name},
            )
    for name in _BRAX:
        backends = () if name == "fast" else _BRAX_BACKENDS
        for env_id in (f"brax/{name}", *(f"brax/{name}-{backend}" for backend in backends)):
            if env_id not in registration.registry:
                registration.register(
                    env_id,
                    entry_point="envs.brax_gym:make_env",
                    vector_entry_point="envs.brax_gym:make_vector_env",
                    max_episode_steps=1000,
                    disable_env_checker=True,
                    kwargs={"env_id": env_id},
                )


class SimulacraWaiter:
    """A finder that finds ``gymnasium.envs`` as Python would, and has `register` called after it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name != _WAITED_FOR:
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)  # type: ignore[arg-type]
        if spec is not None and hasattr(spec.loader, "__dict__"):
            self._append_register(spec.loader)
        return spec

    def _append_register(self, loader: object) -> None:
        def exec_module(module: object) -> None:
            del loader.exec_module  # type: ignore[attr-defined]  # the loader is itself again
            loader.exec_module(module)  # type: ignore[attr-defined]
            if self in sys.meta_path:
                sys.meta_path.remove(self)  # type: ignore[arg-type]
            _register_or_warn()

        loader.exec_module = exec_module  # type: ignore[attr-defined]


def _register_or_warn() -> None:
    """A Gymnasium that we do not know must still be importable."""
    try:
        register()
    except Exception as error:
        import warnings

        warnings.warn(f"Simulacra's environments could not be registered with Gymnasium: {error!r}", stacklevel=2)


if _WAITED_FOR in sys.modules:
    register()
elif not any(type(finder).__name__ == "SimulacraWaiter" for finder in sys.meta_path):
    sys.meta_path.insert(0, SimulacraWaiter())  # type: ignore[arg-type]
