"""Checkpoints of a training: bit for bit what was saved, and refused where they belong to another training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.configs import PPOConfig, SACConfig
from agents.table import make_agent
from agents.training.compiled import make_compiled_training
from agents.training.hosted import start_hosted, train_hosted, updates_per_part
from envs.checkpoint import load_checkpoint, save_checkpoint
from envs.errors import InputError
from envs.gymnax_adapter import make_classic_control
from envs.spec import EnvSpec
from tests.agents import probe_envs as probes

CONFIGS = {
    "ppo": PPOConfig(
        total_steps=320, num_envs=4, num_steps=8, num_epochs=2, hidden=(8,), normalise_observations=True,
        normalise_rewards=True,
    ),
    "sac": SACConfig(
        total_steps=320, num_envs=4, num_steps=8, gradient_steps=2, batch_size=16, warmup_steps=40, n_step=3,
        hidden=(8,),
    ),
}  # fmt: skip
NAMES = list(CONFIGS)


def assert_same(one, other) -> None:
    """Bit for bit, random keys and dtypes too."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for ours, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert ours.dtype == theirs.dtype
        if jnp.issubdtype(ours.dtype, jax.dtypes.prng_key):
            ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_training_that_goes_on_from_disk_ends_where_the_whole_one_ends(name, tmp_path):
    env = make_classic_control("CartPole-v1")
    training = make_compiled_training(env, CONFIGS[name])
    advance = jax.jit(training.advance, static_argnums=3)
    state = training.init(jax.random.key(0), env.default_params)
    for _ in range(5):
        state, _ = advance(state, env.default_params, training.hyper, 2)
        save_checkpoint(tmp_path / "it", state, {"points": [1.5, None]})
        like = jax.eval_shape(training.init, jax.random.key(0), env.default_params)
        loaded, told = load_checkpoint(tmp_path / "it", like)
        assert told == {"points": [1.5, None]}
        assert_same(loaded, state)
    whole = training.init(jax.random.key(0), env.default_params)
    for _ in range(5):
        whole, _ = advance(whole, env.default_params, training.hyper, 2)
    again = load_checkpoint(tmp_path / "it", whole)[0]
    assert_same(again, whole)


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("name", NAMES)
def test_a_hosted_training_that_goes_on_from_disk_ends_where_the_whole_one_ends(name, mode, tmp_path):
    probe, config = probes.StartsElsewhere(), CONFIGS[name]
    spec = EnvSpec(probe.spec.env_id, probe.spec.observation_space, probe.spec.action_space, 8)

    def env():
        return SyncVectorEnv([lambda: probes.HostProbe(probe)] * config.num_envs, autoreset_mode=mode)

    assert updates_per_part(config, spec) == 2
    places = []
    for update in train_hosted(env(), spec, config, seed=3):
        if update.state is not None:
            save_checkpoint(tmp_path / f"{len(places)}", update.state, {})
            places.append(int(update.state.num_updates))
    assert places == [2, 4, 6, 8, 10]
    whole, like = update.learner, jax.eval_shape(lambda: start_hosted(make_agent(spec, config), 0))
    for i in (0, 3):
        state, _ = load_checkpoint(tmp_path / f"{i}", like)
        *_, last = train_hosted(env(), spec, config, seed=3, state=state)
        assert_same(last.learner, whole)


def test_a_checkpoint_of_another_training_or_none_or_a_damaged_one_is_told(tmp_path):
    state = {"actor": {"w": jnp.zeros((3, 4)), "b": jnp.zeros(4, jnp.int32)}}
    with pytest.raises(InputError, match=r"expected a checkpoint at .*, found none"):
        load_checkpoint(tmp_path / "it", state)
    save_checkpoint(tmp_path / "it", state, {})
    for other, told in (
        ({"actor": {"w": jnp.zeros((3, 5)), "b": state["actor"]["b"]}}, r"float32\[3, 4\] at .*'w'.*float32\[3, 5\]"),
        ({"actor": {"w": state["actor"]["w"], "b": jnp.zeros(4)}}, r"int32\[4\] at .*'b'.*float32\[4\]"),
        ({"actor": {"w": state["actor"]["w"]}}, r"int32\[4\] at .*'b'.*nothing"),
        ({**state, "critic": jnp.zeros(2)}, r"nothing at .*critic.*float32\[2\]"),
    ):
        with pytest.raises(InputError, match=told):
            load_checkpoint(tmp_path / "it", other)
    content = (tmp_path / "it").read_bytes()
    for damaged in (content[:20], b"", content[:-3], b"{}" + content):
        (tmp_path / "it").write_bytes(damaged)
        with pytest.raises(InputError, match=r"expected a checkpoint of a training at .* damaged"):
            load_checkpoint(tmp_path / "it", state)
