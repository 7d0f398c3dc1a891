"""Any functional environment as a `gymnasium.Env` and as a natively batched `gymnasium.vector.VectorEnv`.

A row of the vector face does what a single face with that row's seed does, so the vector face is
`gymnasium.vector.SyncVectorEnv` of single ones, only faster. Faces of the same functional environment object share
all that is compiled for it.

Randomness: a seeded reset draws a JAX key from NumPy's generator of that seed; from then on every reset and every step
splits that key. Observations are fresh NumPy arrays, never views of JAX's memory; ``info`` is empty but for what an
autoreset mode puts there. Actions outside the action space are refused, as JAX would clamp an index that is out of
range in silence and a network would extrapolate.

Shape legend: ``B`` rows (environments), ``A`` the action's shape.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.errors import InputError, unknown_name
from envs.functional import EnvState, FunctionalEnv, Params
from envs.functional_batch import Started, reset_rows, restart_rows, step_rows, step_rows_same_step
from envs.spaces import checked_actions


class FunctionalGymEnv(gymnasium.Env[np.ndarray, Any]):
    """One functional environment as a `gymnasium.Env`.

    Args:
        functional: the environment, hashable.
        params: its parameters; its own defaults where None.
    """

    metadata = {"render_modes": []}  # noqa: RUF012, as Gymnasium declares it

    def __init__(self, functional: FunctionalEnv, params: Params | None = None):
        self.functional = functional
        self.params = functional.default_params if params is None else params
        self.observation_space = functional.spec.observation_space
        self.action_space = functional.spec.action_space
        self._agent = f"the agent on {functional.spec.env_id}"
        self._key: jax.Array | None = None
        self._state: EnvState | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode; without a ``seed`` it goes on with the randomness it has. There are no options."""
        super().reset(seed=seed)
        _refuse_options(options or {})
        if seed is not None or self._key is None:
            self._key = _keys_from(_key_data(self.np_random))
        self._key, self._state, observation = _reset_one(self.functional, self._key, self.params)
        return np.array(observation, self.observation_space.dtype), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Steps once; raises `InputError` for an action outside the space, or where no episode is under way."""
        if self._state is None:
            raise InputError("expected a reset before this step: no episode is under way")
        checked = _for_jax(checked_actions(self.action_space, np.asarray(action)[None], 1, self._agent))[0]
        out = _step_one(self.functional, self._key, self._state, checked, self.params)
        self._key, self._state, observation, reward, *ends = out
        terminated, truncated = map(bool, ends)
        if terminated or truncated:
            self._state = None
        return np.array(observation, self.observation_space.dtype), float(reward), terminated, truncated, {}


class FunctionalVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` copies of a functional environment, stepped by one compiled function.

    The three autoreset modes are Gymnasium's: NEXT_STEP resets a row in the step after its end, ignoring that action,
    with reward 0; SAME_STEP resets at once and puts the last observation into ``info["final_obs"]``; DISABLED waits
    for ``reset(options={"reset_mask": mask})``, mask ``[B]`` bool. Rewards are float64 ``[B]``.

    Args:
        functional: the environment, hashable.
        num_envs: ``B``.
        params: one set of parameters that all rows share; the environment's own defaults where None.
        autoreset_mode: when a row that ended starts anew.
    """

    def __init__(
        self,
        functional: FunctionalEnv,
        num_envs: int = 1,
        params: Params | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ):
        if num_envs < 1:
            raise InputError(f"expected num_envs of at least 1, got {num_envs}")
        self.functional = functional
        self.params = functional.default_params if params is None else params
        self.num_envs = num_envs
        self.autoreset_mode = _known_mode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = functional.spec.observation_space
        self.single_action_space = functional.spec.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._agent = f"the agent on {functional.spec.env_id}"
        self._rows: Started | None = None
        self._ended = np.zeros(num_envs, bool)  # rows that wait for a reset: never in SAME_STEP

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts all rows, or those of ``options["reset_mask"]``.

        Args:
            seed: row i gets seed + i, or the i-th of a sequence; rows without one go on with their own randomness.
            options: nothing, or ``reset_mask`` ``[B]`` bool.

        Raises:
            InputError: other options, a mask of another shape or dtype or without a True, too few or many seeds.
        """
        super().reset(seed=int(seed) if isinstance(seed, int | np.integer) else None)
        mask = self._reset_mask(dict(options or {}))
        if self._rows is None and not mask.all():
            raise InputError("expected a first reset of all rows before a reset_mask that leaves some out")
        keys = self._seeded_keys(self._row_seeds(seed), mask)
        if self._rows is None:
            self._rows = reset_rows(self.functional, keys, self.params)
        else:
            self._rows = restart_rows(self.functional, self._rows._replace(keys=keys), mask, self.params)
        self._ended = self._ended & ~mask
        return self._fresh(self._rows.observations), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Steps all rows; raises `InputError` for an action outside the space, or where rows must be reset first."""
        if self._rows is None:
            raise InputError("expected a reset before this step: no episode is under way")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            rows = np.flatnonzero(self._ended).tolist()
            raise InputError(f"expected a reset with a reset_mask before this step: the episodes of rows {rows} ended")
        space = self.single_action_space
        checked = _for_jax(checked_actions(space, actions, self.num_envs, self._agent, ignored=self._ended))
        keys, state, _ = self._rows
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            out = step_rows_same_step(self.functional, keys, state, checked, self.params)
        else:
            out = step_rows(self.functional, keys, state, checked, self._ended, self.params)
        self._rows = Started(out.keys, out.state, out.observations)
        terminated, truncated = np.array(out.terminated), np.array(out.truncated)
        infos: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            infos = self._final_infos(terminated | truncated, out.final_observations)
        else:
            self._ended = terminated | truncated
        return self._fresh(out.observations), np.array(out.reward, np.float64), terminated, truncated, infos

    def _fresh(self, observations: jax.Array) -> np.ndarray:
        return np.array(observations, self.single_observation_space.dtype)

    def _final_infos(self, ended: np.ndarray, observations: jax.Array) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for row in np.flatnonzero(ended).tolist():
            infos = self._add_info(infos, {"final_obs": self._fresh(observations[row]), "final_info": {}}, row)
        return infos

    def _reset_mask(self, options: dict[str, Any]) -> np.ndarray:
        mask = options.pop("reset_mask", np.ones(self.num_envs, bool))
        _refuse_options(options)
        if not (isinstance(mask, np.ndarray) and mask.shape == (self.num_envs,) and mask.dtype == bool and mask.any()):
            raise InputError(f"expected reset_mask as a bool array [{self.num_envs}] with a True in it, got {mask!r}")
        return mask.copy()

    def _row_seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + row for row in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise InputError(f"expected one seed for each of {self.num_envs} environments, got {len(seed)}")
        return list(seed)

    def _seeded_keys(self, seeds: list[int | None], mask: np.ndarray) -> jax.Array:
        if self._rows is None:
            data = np.stack([_key_data(self.np_random) for _ in seeds])
        else:
            data = np.array(jax.random.key_data(self._rows.keys))
        for row in np.flatnonzero(mask).tolist():
            if seeds[row] is not None:
                data[row] = _key_data(seeding.np_random(seeds[row])[0])
        return _keys_from(data)


def _key_data(generator: np.random.Generator) -> np.ndarray:
    return generator.integers(2**32, size=2, dtype=np.uint32)


@jax.jit
def _keys_from(data: jax.Array | np.ndarray) -> jax.Array:
    return jax.random.wrap_key_data(data)  # type: ignore[arg-type]  # traced, so an array of JAX


def _refuse_options(options: dict[str, Any]) -> None:
    if options:
        raise InputError(f"expected no reset options of these names, got {sorted(options)}")


def _known_mode(mode: AutoresetMode | str) -> AutoresetMode:
    known = [one.value for one in AutoresetMode]
    if not isinstance(mode, AutoresetMode) and mode not in known:
        raise unknown_name("autoreset mode", mode, known)
    return AutoresetMode(mode)


def _for_jax(actions: np.ndarray) -> np.ndarray:
    """Whole numbers as int32, the only width of JAX, which would narrow others by itself but compile anew for each."""
    return actions.astype(np.int32) if np.issubdtype(actions.dtype, np.integer) else actions


@partial(jax.jit, static_argnums=0)
def _reset_one(env: FunctionalEnv, key: jax.Array, params: Params) -> tuple[jax.Array, EnvState, jax.Array]:
    key, reset_key = jax.random.split(key)
    observation, state = env.reset(reset_key, params)
    return key, state, observation


@partial(jax.jit, static_argnums=0)
def _step_one(env: FunctionalEnv, key: jax.Array, state: EnvState, action: jax.Array, params: Params) -> tuple:
    key, step_key = jax.random.split(key)
    observation, state, reward, terminated, truncated, _ = env.step(step_key, state, action, params)
    return key, state, observation, reward, terminated, truncated
