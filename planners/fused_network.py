"""A latent network for the inside of a search: the same numbers with as few torch calls as can be.

What is fused: the first layers of all heads are one matrix, folded into the last layer of the dynamics; their further
layers are block-diagonal matrices; the first layer of the dynamics adds a row for the action instead of multiplying a
one-hot vector; every result is written into a buffer that is there already, the last one into what NumPy, and so the
tree, reads without a copy. Latent states lie in a buffer ``[K, B, D]``.

Shape legend: ``B`` roots, ``K`` nodes a root, ``D`` latent, ``A`` number of actions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from envs.errors import InputError
from envs.world_model import Imagined, ModelState
from planners.compiled_network import ACTIVATIONS, FEW_ROWS, LAYER, step_rows
from planners.latent_network import LatentNetwork
from planners.leaf_values import Evaluated
from planners.model_faces import CountedModel
from planners.tree import Tree

_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "silu": lambda x: nn.functional.silu(x, inplace=True),
}

_Layer = tuple[Tensor, Tensor]
"""Weights ``[in, out]`` and bias ``[out]``."""


@dataclass
class _Workspace:
    """Buffers for ``B`` roots and ``K`` nodes: latent states of all and of each, and what a step passes through."""

    whole: np.ndarray
    flat: Tensor
    latents: list[Tensor]
    parents: Tensor
    hidden: list[Tensor]
    heads: list[Tensor]
    goes_on: Tensor
    values: np.ndarray


class FusedNetwork:
    """The weights of a `LatentNetwork` as they are now, and the buffers of the searches on it (one at a time).

    It is a `WorldModel` too, so a caller who searches often fuses once and gives this to `planners.mcts.mcts`.

    Args:
        network: on the CPU, in float32.

    Raises:
        InputError: a network elsewhere, or in another precision.
    """

    def __init__(self, network: LatentNetwork):
        if not self.fits(network):
            raise InputError(f"expected a network in float32 on the CPU to fuse, got one on {network.device}")
        self.network, self.spec, self.device = network, network.spec, network.device
        self.latent_size, self.has_ends = network.latent_size, network.end_head is not None
        self._activate = _IN_PLACE[network.activation]
        with torch.no_grad():
            first, *between, last = _linear(network.dynamics)
            self._from_latent = first[0][: self.latent_size].contiguous()
            self._of_action = first[0][self.latent_size :] + first[1]
            self._between, self._last = between, last
            self._heads = _join_heads(network)
            weight, bias = self._heads[0]
            self._folded = [(last[0] @ weight, last[1] @ weight + bias), *self._heads[1:]]
        self._discount = 1.0
        self._fill_compiled()
        self._workspaces: dict[tuple[int, int], _Workspace] = {}

    def _fill_compiled(self) -> None:
        """Lays all numbers out in one vector, for `planners.compiled_network`."""
        dynamics = [(self._from_latent, torch.zeros(self._of_action.shape[1])), *self._between, self._last]
        chain = [*dynamics, *self._folded]
        self._layers, parts, at = np.zeros(len(chain), LAYER), list[Tensor](), 0
        for index, (weight, bias) in enumerate(chain):
            reads = (
                index - 2 if index == len(dynamics) else index - 1
            )  # the heads read what the last dynamics layer does
            self._layers[index] = (at, at + weight.numel(), *weight.shape, reads)
            parts += [weight.reshape(-1), bias]
            at += weight.numel() + len(bias)
        self._numbers = torch.cat(parts).numpy()
        self._num_dynamics, self._compiled_actions = len(dynamics), self._of_action.numpy()
        self._scratch = np.zeros((len(chain), max(len(bias) for _, bias in chain)), np.float32)

    @staticmethod
    def fits(network: LatentNetwork) -> bool:
        """Whether ``network`` can be fused: it lies on the CPU in float32."""
        return network.device.type == "cpu" and next(network.parameters()).dtype == torch.float32

    def encode(
        self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None
    ) -> ModelState:
        return self.network.encode(observation, previous, action)

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        return self.network.step(state, action, generator)

    def set_discount(self, discount: float) -> None:
        """Says what a step that does not end the episode is discounted with."""
        if discount == self._discount:
            return
        self._discount = discount
        if not self.has_ends:
            self._folded[-1][1][1] = discount
            self._numbers[self._layers[-1]["bias"] + 1] = discount

    def workspace(self, rows: int, num_nodes: int) -> _Workspace:
        """Returns the buffers for so many roots and nodes; those of the last sizes asked for are kept."""
        if (rows, num_nodes) not in self._workspaces:
            latents = torch.zeros(num_nodes, rows, self.latent_size)
            hidden = [torch.zeros(rows, self._of_action.shape[1])]
            hidden += [torch.zeros(rows, len(bias)) for _, bias in self._between]
            heads = [torch.zeros(rows, len(bias)) for _, bias in self._folded]
            made = _Workspace(
                latents.numpy(), latents.view(num_nodes * rows, -1), list(latents.unbind()),
                torch.zeros(rows, self.latent_size), hidden, heads, heads[-1][:, 1], heads[-1].numpy(),
            )  # fmt: skip
            self._workspaces = {(rows, num_nodes): made}
        return self._workspaces[rows, num_nodes]

    def evaluate_roots(self, latent: Tensor, work: _Workspace) -> tuple[np.ndarray, np.ndarray]:
        """Writes latent states ``[B, D]`` as node 0; returns their logits ``[B, A]`` and values ``[B]``."""
        work.latents[0].copy_(latent)
        self._through(self._heads, latent, work.heads)
        return work.values[:, 3:].astype(np.float64), work.values[:, 2].astype(np.float64)

    def expand(self, work: _Workspace, places: Tensor, actions: Tensor, node: int) -> np.ndarray:
        """Steps from the nodes at ``places`` ``[B]`` and writes node ``node``; returns what the tree's kernel reads."""
        hidden = work.hidden[0]
        torch.index_select(work.flat, 0, places, out=work.parents)
        torch.index_select(self._of_action, 0, actions, out=hidden)
        self._activate(hidden.addmm_(work.parents, self._from_latent))
        for (weight, bias), after in zip(self._between, work.hidden[1:], strict=True):
            self._activate(torch.addmm(bias, hidden, weight, out=after))
            hidden = after
        torch.addmm(self._last[1], hidden, self._last[0], out=work.latents[node])
        self._through(self._folded, hidden, work.heads)
        if self.has_ends:
            goes_on = work.goes_on.sigmoid_()
            goes_on.mul_(goes_on >= 0.5).mul_(self._discount)
        return work.values

    def expand_few(self, work: _Workspace, leaves: np.ndarray, node: int) -> np.ndarray:
        """Does what `expand` does, without torch: faster for few rows."""
        step_rows(
            work.whole, leaves, self._compiled_actions, self._numbers, self._layers,
            ACTIVATIONS[self.network.activation], self._num_dynamics, self._scratch, work.values, node,
            self._discount, self.has_ends,
        )  # fmt: skip
        return work.values

    def _through(self, layers: list[_Layer], given: Tensor, results: list[Tensor]) -> None:
        for index, ((weight, bias), after) in enumerate(zip(layers, results, strict=True)):
            torch.addmm(bias, given if index == 0 else self._activate(given), weight, out=after)
            given = after


class FusedSteps:
    """Leaves of a search on a `FusedNetwork`: the fast counterpart of `planners.expansion.Steps`."""

    has_chance = False

    def __init__(self, fused: FusedNetwork, counted: CountedModel, state: ModelState, discount: float, num_nodes: int):
        latent = state["latent"]
        fused.set_discount(discount)
        self._fused, self._counted, self._rows = fused, counted, len(latent)
        self._work = fused.workspace(self._rows, num_nodes)
        logits, value = fused.evaluate_roots(latent, self._work)
        self.root = Evaluated(logits, value, np.zeros(self._rows, bool))
        self.num_edges = logits.shape[1]
        self._places = self._actions = torch.empty(0)

    def root_actions(self) -> None:
        """There are none but those of the Discrete space."""

    def watch(self, tree: Tree) -> None:
        """Looks at the leaves of ``tree`` from now on."""
        self._places, self._actions = torch.from_numpy(tree.leaves).unbind()

    def expand(self, tree: Tree, node: int) -> np.ndarray:
        """Returns what the kernel adds as node ``node``: ``[B, 3 + A]``."""
        self._counted.count(self._rows)
        if self._rows <= FEW_ROWS:
            return self._fused.expand_few(self._work, tree.leaves, node)
        return self._fused.expand(self._work, self._places, self._actions, node)


def _linear(layers: nn.Sequential) -> list[_Layer]:
    """Returns copies of the weights of the linear layers."""
    return [(one.weight.t().contiguous(), one.bias.clone()) for one in layers if isinstance(one, nn.Linear)]


def _join_heads(network: LatentNetwork) -> list[_Layer]:
    """Returns the layers of all heads as one perceptron, whose results are reward, goes on, value and logits.

    The first layers read the same and stand side by side; later ones are block-diagonal. A network that knows no ends
    gets a column that is 1 whatever it reads.
    """
    heads = [_linear(network.reward_head), None, _linear(network.value_head), _linear(network.policy_head)]
    if network.end_head is not None:
        heads[1] = _linear(network.end_head)
    depth = len(_linear(network.value_head))
    joined: list[_Layer] = []
    for level in range(depth):
        layers = [head[level] for head in heads if head is not None]
        if heads[1] is None and level == depth - 1:
            constant = torch.zeros(network.latent_size if level == 0 else 0, 1), torch.ones(1)
            layers.insert(1, constant)
        weights = [weight for weight, _ in layers]
        weight = torch.cat(weights, dim=1) if level == 0 else torch.block_diag(*weights)
        joined.append((weight, torch.cat([bias for _, bias in layers])))
    return joined
