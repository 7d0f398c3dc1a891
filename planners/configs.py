"""Settings of the planners. Nothing heavy is imported here, so that ``--help`` answers at once.

`hold` is in all three: a drawn action is kept for that many steps, so that short budgets reach further (with two
actions held for 5 of 15 steps there are only 8 sequences, and all of them can be imagined).
"""

import math
from dataclasses import dataclass
from typing import Literal

from envs.errors import require


@dataclass(frozen=True)
class RandomShootingConfig:
    """Random shooting: imagine drawn action sequences and act on the best."""

    horizon: int = 15
    """Imagined steps, at least 1."""
    num_sequences: int = 128
    """Sequences for each state, at least 1; where every distinct Discrete sequence fits in, exactly these are used."""
    hold: int = 5
    """Steps for which each drawn action is held, at least 1; 1 where every single action counts, as on grids."""
    choose: Literal["mean", "best"] = "mean"
    """Score of a sequence: "best" takes its own return, "mean" the mean over all sequences with its first action.

    The mean tells actions apart that each have a sequence that goes well. On a Box no two first actions are equal, so
    there both choose the same.
    """
    discount: float = 1.0
    """Discount for each step, in (0, 1]."""
    stochastic_model: bool = False
    """Draw the model's outcomes instead of taking the most likely ones."""

    def __post_init__(self) -> None:
        _require_trajectory(self)
        require(self.choose in ("mean", "best"), "choose", "to be 'mean' or 'best'", self.choose)


@dataclass(frozen=True)
class CEMConfig:
    """The cross-entropy method: draw sequences, keep the best part, refit the distribution, repeat."""

    horizon: int = 15
    """Imagined steps, at least 1."""
    num_sequences: int = 64
    """Sequences for each state and iteration, at least 2."""
    iterations: int = 3
    """Rounds of drawing and refitting, at least 1."""
    hold: int = 5
    """Steps for which each drawn action is held, at least 1; 1 where every single action counts, as on grids."""
    elite_fraction: float = 0.1
    """Share of the sequences that the distribution is refitted to, in (0, 1]; equals of the worst elite join."""
    smoothing: float = 0.1
    """Weight of the old distribution in the new one, in [0, 1)."""
    initial_std: float = 0.25
    """First standard deviation of a Box action, as a share of its range, above 0."""
    min_std: float = 0.01
    """Lowest standard deviation of a Box action, as a share of its range, at least 0."""
    min_probability: float = 0.05
    """Lowest probability of a Discrete action, times their number, in [0, 1]."""
    discount: float = 1.0
    """Discount for each step, in (0, 1]."""
    stochastic_model: bool = False
    """Draw the model's outcomes instead of taking the most likely ones."""

    def __post_init__(self) -> None:
        _require_trajectory(self)
        require(self.num_sequences >= 2, "num_sequences", "of at least 2", self.num_sequences)
        require(self.iterations >= 1, "iterations", "of at least 1", self.iterations)
        require(0 < self.elite_fraction <= 1, "elite_fraction", "in (0, 1]", self.elite_fraction)
        require(0 <= self.smoothing < 1, "smoothing", "in [0, 1)", self.smoothing)
        require(0 < self.initial_std < math.inf, "initial_std", "above 0", self.initial_std)
        require(0 <= self.min_std < math.inf, "min_std", "of at least 0", self.min_std)
        require(0 <= self.min_probability <= 1, "min_probability", "in [0, 1]", self.min_probability)


@dataclass(frozen=True)
class MCTSConfig:
    """Monte Carlo tree search with PUCT; Discrete actions."""

    num_simulations: int = 32
    """Leaves added to each tree, at least 1."""
    hold: int = 1
    """Steps for which the action of each edge is held, at least 1."""
    horizon: int = 10
    """Steps from the root that the default evaluation looks ahead, tree and rollout together, at least 1."""
    num_rollouts: int = 4
    """Rollouts for each leaf of the default evaluation, at least 1."""
    rollout_hold: int = 5
    """Steps for which each action of a rollout is held, at least 1."""
    discount: float = 0.997
    """Discount for each step, in (0, 1]."""
    pb_c_init: float = 1.25
    """Weight of exploration (PUCT, MuZero's c1), at least 0."""
    pb_c_base: float = 19652.0
    """Visits at which exploration starts to weigh more (MuZero's c2), above 0."""
    normalise: Literal["tree", "siblings"] = "tree"
    """Values are scaled to [0, 1] between the extremes of the whole tree, or of a node and its visited children."""
    random_ties: bool = True
    """Among equally good actions each root prefers one by lot; without this, the first."""
    dirichlet_fraction: float = 0.0
    """Share of Dirichlet noise in the root's prior, in [0, 1]."""
    dirichlet_alpha: float = 0.3
    """Concentration of that noise, above 0."""
    stochastic_model: bool = False
    """Draw the model's outcomes instead of taking the most likely ones."""

    def __post_init__(self) -> None:
        for name in ("num_simulations", "hold", "horizon", "num_rollouts", "rollout_hold"):
            require(getattr(self, name) >= 1, name, "of at least 1", getattr(self, name))
        require(0 < self.discount <= 1, "discount", "in (0, 1]", self.discount)
        require(0 <= self.pb_c_init < math.inf, "pb_c_init", "of at least 0", self.pb_c_init)
        require(0 < self.pb_c_base < math.inf, "pb_c_base", "above 0", self.pb_c_base)
        require(self.normalise in ("tree", "siblings"), "normalise", "to be 'tree' or 'siblings'", self.normalise)
        require(0 <= self.dirichlet_fraction <= 1, "dirichlet_fraction", "in [0, 1]", self.dirichlet_fraction)
        require(0 < self.dirichlet_alpha < math.inf, "dirichlet_alpha", "above 0", self.dirichlet_alpha)


PlannerConfig = RandomShootingConfig | CEMConfig | MCTSConfig


def _require_trajectory(config: RandomShootingConfig | CEMConfig) -> None:
    for name in ("horizon", "num_sequences", "hold"):
        require(getattr(config, name) >= 1, name, "of at least 1", getattr(config, name))
    require(0 < config.discount <= 1, "discount", "in (0, 1]", config.discount)
