"""Networks of action values: every switch and head by hand, and batches that are their single rows."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.networks.q_networks import QNetworks
from envs.mlp import apply_mlp

RNG = np.random.default_rng(0)
OBSERVATION = RNG.normal(size=(6, 3)).astype(np.float32)
HEADS = {"plain": 1, "categorical": 5, "quantile": 4}
SWITCHES = [
    QNetworks(3, 2, (8,), (7,) if dueling else (), "relu", head, HEADS[head], dueling, noisy, (-2.0, 2.0), 0.3)
    for head, dueling, noisy in product(HEADS, (False, True), (False, True))
]
KEY = jax.random.key(1)


@pytest.mark.parametrize("networks", SWITCHES, ids=lambda n: f"{n.head}{'-dueling' * n.dueling}{'-noisy' * n.noisy}")
def test_batches_are_their_single_rows_under_every_switch(networks):
    params = networks.init(jax.random.key(0))
    outputs = networks.outputs(params, OBSERVATION, KEY)
    assert outputs.shape == (6, 2, networks.num_outputs)
    rows = jax.jit(jax.vmap(networks.outputs, in_axes=(None, 0, None)))(params, OBSERVATION, KEY)
    np.testing.assert_allclose(outputs, rows, rtol=1e-4, atol=1e-5)
    values = networks.q_values(params, OBSERVATION)
    action, memory = networks.mode(params, OBSERVATION, ())
    assert memory == ()
    assert action.dtype == jnp.int32
    np.testing.assert_array_equal(action, values.argmax(-1))
    same = np.allclose(outputs, networks.outputs(params, OBSERVATION, None))
    assert same != networks.noisy


def test_a_plain_network_is_an_mlp():
    networks = QNetworks(3, 2, (8, 9), activation="tanh")
    params = networks.init(jax.random.key(0))
    joined = {**params["shared"], "2": params["advantage"]["0"]}
    np.testing.assert_allclose(networks.q_values(params, OBSERVATION), apply_mlp(joined, OBSERVATION), rtol=1e-5)


def test_dueling_streams_are_a_value_and_advantages_over_their_mean():
    networks = QNetworks(3, 4, (8,), (5,), dueling=True, head="quantile", num_outputs=2)
    params = networks.init(jax.random.key(0))
    features = jax.nn.relu(apply_mlp(params["shared"], OBSERVATION))
    value = apply_mlp(params["value"], features, "relu")
    advantage = apply_mlp(params["advantage"], features, "relu").reshape(6, 4, 2)
    outputs = networks.outputs(params, OBSERVATION)
    np.testing.assert_allclose(outputs.mean(1), value, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs[:, 0] - outputs[:, 3], advantage[:, 0] - advantage[:, 3], rtol=1e-4, atol=1e-5)


def test_what_distributions_are_worth():
    categorical = QNetworks(3, 2, head="categorical", num_outputs=3, support=(-1.0, 3.0))
    params = categorical.init(jax.random.key(0))
    np.testing.assert_allclose(params["support"], [-1, 1, 3])
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.0625, 0.0625, 0.875]]))
    np.testing.assert_allclose(categorical.expected(params, logits), [0.5, 2.625], rtol=1e-6)
    quantile = QNetworks(3, 2, head="quantile", num_outputs=3)
    np.testing.assert_allclose(quantile.expected({}, jnp.array([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])), [3, 1])


def test_a_support_given_in_the_parameters_counts():
    networks = QNetworks(3, 2, head="categorical", num_outputs=3, support=(-1.0, 1.0))
    params = networks.init(jax.random.key(0))
    wide = {**params, "support": 10 * params["support"]}
    np.testing.assert_allclose(
        networks.q_values(wide, OBSERVATION), 10 * networks.q_values(params, OBSERVATION), rtol=1e-4, atol=1e-6
    )


def test_the_share_of_random_actions():
    networks = QNetworks(3, 4, (8,), epsilon=0.4)
    params, many = networks.init(jax.random.key(0)), jnp.tile(OBSERVATION[:1], (20_000, 1))
    greedy = int(networks.mode(params, OBSERVATION[0], ())[0])
    action, _ = networks.sample(params, many, (), KEY)
    share = np.bincount(action, minlength=4) / 20_000
    expected = np.full(4, 0.1)
    expected[greedy] += 0.6
    np.testing.assert_allclose(share, expected, atol=0.015)
    assert (networks.explore(params, many, KEY, 0.0) == greedy).all()


def test_rows_explore_with_noise_of_their_own():
    networks = QNetworks(3, 2, (8,), noisy=True)
    params, many = networks.init(jax.random.key(0)), jnp.tile(OBSERVATION[:1], (200, 1))
    action, _ = networks.sample(params, many, (), KEY)
    assert 0 < action.mean() < 1
    again, _ = networks.sample(params, many, (), KEY)
    np.testing.assert_array_equal(action, again)
    single, _ = networks.sample(params, OBSERVATION[0], (), KEY)
    assert single.shape == ()
