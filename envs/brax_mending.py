"""What brax 0.14.2 needs to run under a current JAX (0.10); with `envs.brax_adapter` the only module that imports brax.

Two functions that JAX has since removed are still called by brax:

- ``jnp.clip(x, a_min=...)`` in its model of fluids, which swimmer alone uses; `envs.brax_adapter.make_brax` sees to it;
- ``jax.device_put_replicated`` in the trainings of ``brax.training`` (PPO, SAC, APG), which nothing of ours calls:
  whoever compares with them calls `mend_training` first.

Both are mended upstream, after 0.14.2: with a later brax this module can go. Only brax's own modules are touched: what
they call ``jax`` and ``jax.numpy`` knows the old name too, and everybody else's stays as it is.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences what brax says of its own age: unmaintained, and using names that MuJoCo and JAX want renamed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Brax System", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Silences, beyond that, that MJX prints to standard output that its optional back end Warp is not installed."""
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        yield


def mend_fluid() -> None:
    """Lets brax's model of fluids run; doing it again changes nothing."""
    with quiet_import():
        import brax.fluid
    brax.fluid.jp = _NumpyWithOldClip(jnp)


def mend_training() -> None:
    """Lets the trainings of ``brax.training`` run; doing it again changes nothing. Importing them takes seconds."""
    with quiet_import():
        from brax.training import pmap
        from brax.training.agents.apg import train as apg
        from brax.training.agents.ppo import train as ppo
        from brax.training.agents.sac import train as sac
    for module in (pmap, apg, ppo, sac):
        module.jax = _JaxWithReplication(jax)


class _Extended:
    """A module with one more function."""

    def __init__(self, module: ModuleType):
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _NumpyWithOldClip(_Extended):
    def clip(self, array: jax.Array, min: Any = None, max: Any = None, *, a_min: Any = None) -> jax.Array:
        return jnp.clip(array, a_min if min is None else min, max)


class _JaxWithReplication(_Extended):
    def device_put_replicated(self, tree: Any, devices: Sequence[jax.Device]) -> Any:
        """Returns ``tree`` with a leading axis of one copy a device, each on its own, as `jax.pmap` wants its input."""
        sharding = jax.sharding.NamedSharding(
            jax.sharding.Mesh(devices, "device"), jax.sharding.PartitionSpec("device")
        )
        copies = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(devices), *jnp.shape(x))), tree)
        return jax.device_put(copies, sharding)
