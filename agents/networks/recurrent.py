"""Actor and critic networks that remember: a GRU or LSTM reads the observations, a perceptron what it remembers.

Actor and critic have memories of their own, as they have layers of their own without memory; both are carried while
acting, so that a rollout can be judged from where it starts. The perceptrons see the observation too, so that a memory
needs to hold only what the observation does not show.

GRU: Cho et al. 2014, with the reset gate after the product (as cuDNN computes it). LSTM: Hochreiter and Schmidhuber
1997 with forget gates (Gers et al. 2000), whose bias is 1 at the start (Jozefowicz et al. 2015).

Shape legend: ``...`` any batch axes, ``T`` time, ``B`` environments, ``N`` rows to learn from (here sequences of one
environment), ``O`` observation size, ``A`` number of discrete actions or action size, ``H`` size of a memory.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Memory, Params
from agents.networks.action_distribution import ActionDistribution, Judged
from agents.training.rollout import Rollout
from envs.mlp import apply_mlp, init_mlp

PARTS = ("actor", "critic")


class Sequences(NamedTuple):
    """Observations in their order, and the memory at their start.

    Attributes:
        observation: ``[..., T, O]``.
        started: ``[..., T]`` bool, True where the memory starts afresh.
        memory: ``[..., 1, H]`` before the first observation, of actor and critic.
    """

    observation: jax.Array
    started: jax.Array
    memory: Memory


class RecurrentActorCritic(NamedTuple):
    """A policy and a value function with memory, for one pair of spaces; hashable.

    Attributes:
        observation_size: ``O``.
        action_size: ``A``.
        discrete: whether actions are integers.
        hidden: widths of the perceptrons' hidden layers.
        activation: name of their activation.
        cell: ``gru`` or ``lstm``.
        memory_size: ``H``; an LSTM carries two vectors of this size.
    """

    observation_size: int
    action_size: int
    discrete: bool
    hidden: tuple[int, ...]
    activation: str
    cell: str
    memory_size: int

    def init(self, key: jax.Array) -> Params:
        """Returns fresh parameters; the policy starts close to uniform (output scale 0.01)."""
        keys = iter(jax.random.split(key, 6))
        sizes = (self.observation_size + self.memory_size, *self.hidden)
        params: Params = {
            "actor": init_mlp(next(keys), (*sizes, self.action_size), output_scale=0.01),
            "critic": init_mlp(next(keys), (*sizes, 1)),
            "memory": {part: self._init_cell(next(keys), next(keys)) for part in PARTS},
        }
        return params if self.discrete else {**params, "log_std": jnp.zeros(self.action_size)}

    def _init_cell(self, in_key: jax.Array, memory_key: jax.Array) -> Params:
        """Returns uniform weights within 1 / sqrt(H), torch's choice."""
        width = (3 if self.cell == "gru" else 4) * self.memory_size
        bound = self.memory_size**-0.5
        return {
            "w_in": jax.random.uniform(in_key, (self.observation_size, width), minval=-bound, maxval=bound),
            "w_memory": jax.random.uniform(memory_key, (self.memory_size, width), minval=-bound, maxval=bound),
            "b": jnp.zeros(width),
        }

    def initial_memory(self, num_rows: int) -> Memory:
        """Returns zeros: for each part ``[num_rows, H]``, a pair of them with an LSTM."""
        zeros = jnp.zeros((num_rows, self.memory_size))
        return dict.fromkeys(PARTS, zeros if self.cell == "gru" else (zeros, zeros))

    def sample(
        self, params: Params, observation: jax.Array, memory: Memory, key: jax.Array
    ) -> tuple[jax.Array, Memory]:
        """Returns random actions, ``[...]`` int32 or ``[..., A]`` float32 before clipping, and the next memory."""
        memory = self._remember(params, self._read(params, observation), memory)
        return self._distribution(params, observation, memory).sample(key), memory

    def mode(self, params: Params, observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Returns the most likely actions, shaped as `sample`'s, and the next memory."""
        memory = self._remember(params, self._read(params, observation), memory)
        return self._distribution(params, observation, memory).mode(), memory

    def inputs(self, rollout: Rollout) -> Sequences:
        """Returns what `judge` must see of a rollout: leaves ``[T, B, ...]``, and ``[1, B, ...]`` of the memory."""
        return Sequences(rollout.observation, rollout.started, jax.tree.map(lambda x: x[None], rollout.memory))

    def rows(self, steps: Any) -> Any:
        """Returns a pytree of ``[T, B, ...]`` as rows that a minibatch may be made of: sequences, ``[B, T, ...]``."""
        return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), steps)

    def judge(self, params: Params, inputs: Sequences, action: jax.Array) -> Judged:
        """Returns `Judged` ``[N, T]`` for sequences ``[N, T, ...]`` and actions ``[N, T, (A)]``."""
        by_time = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), inputs)
        memories = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), self._memories(params, by_time))
        return self._judge(params, inputs.observation, memories, action)

    def judge_rollout(self, params: Params, rollout: Rollout) -> tuple[Judged, jax.Array]:
        """Returns `Judged` ``[T, B]`` and the values of what the actions led to ``[T, B]``.

        Those remember the whole episode up to their observation, which is right after a time limit too.
        """
        memories = self._memories(params, self.inputs(rollout))
        judged = self._judge(params, rollout.observation, memories, rollout.action)
        after = self._remember(params, self._read(params, rollout.next_observation), memories)
        return judged, self._value(params, rollout.next_observation, after)

    def _judge(self, params: Params, observation: jax.Array, memory: Memory, action: jax.Array) -> Judged:
        log_prob, entropy = self._distribution(params, observation, memory).log_prob_and_entropy(action)
        return Judged(log_prob, entropy, self._value(params, observation, memory))

    def _distribution(self, params: Params, observation: jax.Array, memory: Memory) -> ActionDistribution:
        inputs = jnp.concatenate([observation, self._recalled(memory["actor"])], axis=-1)
        return ActionDistribution(apply_mlp(params["actor"], inputs, self.activation), params.get("log_std"))

    def _value(self, params: Params, observation: jax.Array, memory: Memory) -> jax.Array:
        inputs = jnp.concatenate([observation, self._recalled(memory["critic"])], axis=-1)
        return apply_mlp(params["critic"], inputs, self.activation)[..., 0]

    def _memories(self, params: Params, inputs: Sequences) -> Memory:
        """Returns the memory after each observation ``[T, B, ...]`` of sequences that have time first."""
        fresh = self.initial_memory(1)

        def step(memory: Memory, now: tuple[dict[str, jax.Array], jax.Array]) -> tuple[Memory, Memory]:
            read, started = now
            memory = jax.tree.map(lambda new, old: jnp.where(started[:, None], new, old), fresh, memory)
            memory = self._remember(params, read, memory)
            return memory, memory

        start = jax.tree.map(lambda x: x[0], inputs.memory)
        return jax.lax.scan(step, start, (self._read(params, inputs.observation), inputs.started))[1]

    def _read(self, params: Params, observation: jax.Array) -> dict[str, jax.Array]:
        """Returns what the gates get from observations, which needs no memory and so no loop over time."""
        return {part: observation @ cell["w_in"] + cell["b"] for part, cell in params["memory"].items()}

    def _remember(self, params: Params, read: dict[str, jax.Array], memory: Memory) -> Memory:
        """Returns the memories after what was ``read``."""
        cell_fn = gru if self.cell == "gru" else lstm
        return {part: cell_fn(read[part], memory[part], params["memory"][part]["w_memory"]) for part in PARTS}

    def _recalled(self, memory: Any) -> jax.Array:
        """Returns what the perceptron sees of a part's memory ``[..., H]``."""
        return memory if self.cell == "gru" else memory[0]


def gru(read: jax.Array, memory: jax.Array, w_memory: jax.Array) -> jax.Array:
    """Returns a GRU's next memory ``[..., H]``.

    Args:
        read: what reset, update and candidate get from the input ``[..., 3 * H]``.
        memory: ``[..., H]``.
        w_memory: what they get from the memory ``[H, 3 * H]``.
    """
    reset_in, update_in, candidate_in = jnp.split(read, 3, axis=-1)
    reset_from, update_from, candidate_from = jnp.split(memory @ w_memory, 3, axis=-1)
    candidate = jnp.tanh(candidate_in + jax.nn.sigmoid(reset_in + reset_from) * candidate_from)
    keep = jax.nn.sigmoid(update_in + update_from)
    return keep * memory + (1.0 - keep) * candidate


def lstm(read: jax.Array, memory: tuple[jax.Array, jax.Array], w_memory: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns an LSTM's next output and cell, each ``[..., H]``.

    Args:
        read: what input, forget and output gate and candidate get from the input ``[..., 4 * H]``.
        memory: the last output and cell, each ``[..., H]``.
        w_memory: what they get from the last output ``[H, 4 * H]``.
    """
    output, cell = memory
    enter, forget, show, candidate = jnp.split(read + output @ w_memory, 4, axis=-1)
    cell = jax.nn.sigmoid(forget + 1.0) * cell + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
    return jax.nn.sigmoid(show) * jnp.tanh(cell), cell
