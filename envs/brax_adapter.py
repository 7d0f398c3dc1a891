"""brax environments as functional environments.

brax's environments are no longer maintained: what they need to run under a current JAX is in `envs.brax_mending`. These
two modules alone import brax (0.14).
"""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from envs.brax_mending import mend_fluid, quiet, quiet_import
from envs.compiled_ids import BRAX_IDS
from envs.errors import InputError, unknown_name
from envs.functional import Params, strongly_typed
from envs.spec import EnvSpec

with quiet_import():
    import brax.envs

BRAX = (
    "ant",
    "fast",
    "halfcheetah",
    "hopper",
    "humanoid",
    "humanoidstandup",
    "inverted_double_pendulum",
    "inverted_pendulum",
    "pusher",
    "reacher",
    "swimmer",
    "walker2d",
)
"""Names of brax's environments; ``fast`` is its trivial one for tests."""
BACKENDS = ("generalized", "positional", "spring", "mjx")
EPISODE_LENGTH = 1000


class BraxState(NamedTuple):
    """State of a `BraxEnv`.

    Attributes:
        inner: brax's own state.
        time: steps of this episode, int32.
    """

    inner: brax.envs.State
    time: jax.Array


class BraxEnv:
    """A brax environment behind `envs.functional.FunctionalEnv`; its params are empty.

    Actions are float32 in [-1, 1] ``[A]``, observations float32 and unbounded. Episodes are truncated after 1000
    steps. Make it with `make_brax`.

    Attributes:
        spec: with ``env_id`` ``brax/<name>``, or ``brax/<name>-<backend>`` where the backend is not brax's choice.
    """

    def __init__(self, env_id: str, brax_env: brax.envs.Env):
        self._brax = brax_env
        with quiet():
            shape = jax.eval_shape(brax_env.reset, jax.random.key(0)).obs.shape
        observation_space = spaces.Box(-np.inf, np.inf, shape, np.float32)
        action_space = spaces.Box(-1.0, 1.0, (brax_env.action_size,), np.float32)
        self.spec = EnvSpec(env_id, observation_space, action_space, EPISODE_LENGTH)

    @property
    def default_params(self) -> Params:
        return ()

    def reset(self, key: jax.Array, params: Params) -> tuple[jax.Array, BraxState]:  # noqa: ARG002
        with quiet():
            inner = self._brax.reset(key)
        return strongly_typed((inner.obs, BraxState(inner, jnp.int32(0))))

    def step(
        self,
        key: jax.Array,  # noqa: ARG002
        state: BraxState,
        action: jax.Array,
        params: Params,  # noqa: ARG002
    ) -> tuple[jax.Array, BraxState, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        with quiet():
            # A copy of the tree: brax writes new metrics into the dict of the state that it is given.
            inner = self._brax.step(jax.tree.map(lambda leaf: leaf, state.inner), action)
        time = state.time + 1
        terminated, truncated = inner.done > 0.5, time >= EPISODE_LENGTH
        return strongly_typed((inner.obs, BraxState(inner, time), inner.reward, terminated, truncated, {}))


@cache
def make_brax(name: str, backend: str | None = None) -> BraxEnv:
    """Returns the brax environment ``name``, always the same object, so that it is compiled once.

    Args:
        name: one of `BRAX`.
        backend: which physics, one of `BACKENDS`; brax's choice for this environment where None.

    Raises:
        InputError: an unknown name or backend, or a backend that this environment does not have.
    """
    if name not in BRAX:
        raise unknown_name("brax environment", name, BRAX)
    if backend is not None and backend not in BACKENDS:
        raise unknown_name("brax backend", backend, BACKENDS)
    if backend is not None and name == "fast":
        raise InputError("expected no backend for brax's environment 'fast', which has no physics")
    settings = {} if backend is None else {"backend": backend}
    try:
        with quiet():
            brax_env = brax.envs.get_environment(name, **settings)
    except ValueError as error:
        raise InputError(f"brax's environment {name!r} does not run on the backend {backend!r}: {error}") from None
    if name == "swimmer":
        mend_fluid()
    return BraxEnv("-".join([f"{BRAX_IDS}{name}", *settings.values()]), brax_env)


def brax_named(env_id: str) -> BraxEnv:
    """Returns what `make_brax` makes of an id ``brax/<name>`` or ``brax/<name>-<backend>``; raises `InputError` too."""
    name, _, backend = env_id.removeprefix(BRAX_IDS).partition("-")
    return make_brax(name, backend or None)
