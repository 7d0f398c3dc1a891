"""Settings of the planners. Nothing heavy is imported here, so that ``--help`` answers at once.

`hold` is in all of them: a drawn action is kept for that many steps, so that short budgets reach further (with two
actions held for 5 of 15 steps there are only 8 sequences, and all of them can be imagined).
"""

import math
from dataclasses import dataclass
from typing import Literal

from envs.errors import require


@dataclass(frozen=True)
class RiskConfig:
    """How sure of a sequence's return a planner wants to be."""

    num_particles: int = 1
    """Times each sequence is imagined, at least 1. Particles follow an ensemble's members in equal shares, each the
    same one to the horizon; where outcomes are not drawn, as many as there are members are enough and are taken."""
    caution: float = 0.0
    """Score of a sequence: the mean return of its particles less this many of their standard deviations, at least 0."""
    uncertainty_penalty: float = 0.0
    """What one unit of the model's epistemic uncertainty costs at each step, at least 0."""

    def __post_init__(self) -> None:
        require(self.num_particles >= 1, "num_particles", "of at least 1", self.num_particles)
        require(0 <= self.caution < math.inf, "caution", "of at least 0", self.caution)
        penalty = self.uncertainty_penalty
        require(0 <= penalty < math.inf, "uncertainty_penalty", "of at least 0", penalty)
        require(
            self.caution == 0 or self.num_particles > 1, "num_particles", "above 1 with caution", self.num_particles
        )


@dataclass(frozen=True)
class TrajectoryConfig:
    """What all planners have that imagine whole action sequences."""

    horizon: int = 20
    """Imagined steps, at least 1."""
    num_sequences: int = 128
    """Sequences for each state (and round, where there are several; iCEM's are of the first), at least 1."""
    hold: int = 1
    """Steps for which each action is held, at least 1; 1 where every single action counts, as on grids."""
    discount: float = 1.0
    """Discount for each step, in (0, 1]."""
    stochastic_model: bool = False
    """Draw the model's outcomes instead of taking the most likely ones."""
    risk: RiskConfig = RiskConfig()

    def __post_init__(self) -> None:
        for name in ("horizon", "num_sequences", "hold"):
            require(getattr(self, name) >= 1, name, "of at least 1", getattr(self, name))
        require(0 < self.discount <= 1, "discount", "in (0, 1]", self.discount)


@dataclass(frozen=True)
class RefittedConfig(TrajectoryConfig):
    """What those have that draw sequences from a distribution and refit it, round by round."""

    iterations: int = 3
    """Rounds of drawing and refitting, at least 1."""
    initial_std: float = 0.25
    """First standard deviation of a Box action, as a share of its range, above 0."""
    min_probability: float = 0.05
    """Lowest probability of a Discrete action, times their number, in [0, 1]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.num_sequences >= 2, "num_sequences", "of at least 2", self.num_sequences)
        require(self.iterations >= 1, "iterations", "of at least 1", self.iterations)
        require(0 < self.initial_std < math.inf, "initial_std", "above 0", self.initial_std)
        require(0 <= self.min_probability <= 1, "min_probability", "in [0, 1]", self.min_probability)


@dataclass(frozen=True)
class RandomShootingConfig(TrajectoryConfig):
    """Random shooting: imagine drawn action sequences and act on the best.

    Where every distinct Discrete sequence fits into ``num_sequences``, exactly these are imagined.
    """

    horizon: int = 15
    hold: int = 5
    choose: Literal["mean", "best"] = "mean"
    """Score of a sequence: "best" takes its own return, "mean" the mean over all sequences with its first action.

    The mean tells actions apart that each have a sequence that goes well. On a Box no two first actions are equal, so
    there both choose the same.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.choose in ("mean", "best"), "choose", "to be 'mean' or 'best'", self.choose)


@dataclass(frozen=True)
class CEMConfig(RefittedConfig):
    """The cross-entropy method: draw sequences, keep the best part, refit the distribution, repeat."""

    horizon: int = 15
    num_sequences: int = 64
    hold: int = 5
    elite_fraction: float = 0.1
    """Share of the sequences that the distribution is refitted to, in (0, 1]; equals of the worst elite join."""
    smoothing: float = 0.1
    """Weight of the old distribution in the new one, in [0, 1)."""
    min_std: float = 0.01
    """Lowest standard deviation of a Box action, as a share of its range, at least 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_elites(self)


@dataclass(frozen=True)
class MCTSConfig:
    """Monte Carlo tree search; Discrete actions, and bounded Box actions by sampling some at every node."""

    num_simulations: int = 32
    """Leaves added to each tree, at least 1."""
    milliseconds: float | None = None
    """Time after which a search ends, though not before its first simulation, above 0; None for no limit."""
    select: Literal["puct", "uct", "gumbel"] = "puct"
    """How actions are chosen in the tree: by PUCT (MuZero), by UCB1 (UCT), or as in Gumbel MuZero."""
    backup: Literal["mean", "best"] = "mean"
    """A node is worth the mean of its simulations, or its best visited action (chance: the mean by probability)."""
    hold: int = 1
    """Steps for which the action of each edge is held, at least 1."""
    horizon: int = 10
    """Steps that the default evaluation looks ahead, at least 1."""
    horizon_from: Literal["root", "leaf"] = "root"
    """Where the horizon begins: at the root, tree and rollout together, or at each leaf."""
    num_rollouts: int = 4
    """Rollouts for each leaf of the default evaluation, at least 1."""
    rollout_hold: int = 5
    """Steps for which each action of a rollout is held, at least 1."""
    discount: float = 0.997
    """Discount for each step, in (0, 1]; in [-1, 0) where two players take turns and one gains what the other loses."""
    pb_c_init: float = 1.25
    """Weight of exploration (PUCT, MuZero's c1), at least 0."""
    pb_c_base: float = 19652.0
    """Visits at which exploration starts to weigh more (MuZero's c2), above 0."""
    uct_c: float = 1.41
    """Weight of exploration (UCT), at least 0."""
    num_considered: int = 16
    """Actions that Gumbel's sequential halving begins with, at most, at least 1."""
    gumbel_scale: float = 1.0
    """Scale of the Gumbel noise at the root, at least 0; 0 to act greedily."""
    visit_offset: float = 50.0
    """Gumbel: added to the visits of the most visited action to weigh values against logits, at least 0."""
    value_scale: float = 0.1
    """Gumbel: weight of values scaled to [0, 1] against logits, at least 0 (1 for board games)."""
    normalise: Literal["tree", "siblings"] = "tree"
    """Values are scaled to [0, 1] between the extremes of the whole tree, or of a node and its visited children."""
    resolution: float = 1e-5
    """Values closer than this, relative to their size, are not spread any further when they are scaled, at least 0."""
    random_ties: bool = True
    """Among equally good actions each root prefers one by lot; without this, the first."""
    dirichlet_fraction: float = 0.0
    """Share of Dirichlet noise in the root's prior, in [0, 1]."""
    dirichlet_alpha: float = 0.3
    """Concentration of that noise, above 0."""
    stochastic_model: bool = False
    """Draw the model's outcomes instead of taking the most likely ones."""
    num_outcomes: int = 1
    """Draws of each action's outcome that a stochastic model's chance nodes have; 1 for no chance nodes."""
    num_sampled_actions: int = 20
    """Actions drawn at every node of a Box, at least 2."""
    fused: bool = True
    """Search on small networks (`planners.latent_network`) with fused inference, and on the real environment without
    torch in between; without it, as on every model."""
    reuse: bool = False
    """Go on with the tree below the action taken, where the next state is the one that the tree expected.

    As many nodes are kept as there are simulations; these come on top. The default evaluation must look ahead from each
    leaf (``horizon_from``)."""
    reuse_tolerance: float = 0.0
    """How far the next state may lie from the expected one, at least 0; 0 for bit for bit."""

    def __post_init__(self) -> None:
        for name in ("num_simulations", "hold", "horizon", "num_rollouts", "rollout_hold", "num_considered"):
            require(getattr(self, name) >= 1, name, "of at least 1", getattr(self, name))
        for name in ("pb_c_init", "uct_c", "gumbel_scale", "visit_offset", "value_scale", "resolution"):
            require(0 <= getattr(self, name) < math.inf, name, "of at least 0", getattr(self, name))
        require(self.milliseconds is None or self.milliseconds > 0, "milliseconds", "above 0", self.milliseconds)
        require(0 < abs(self.discount) <= 1, "discount", "in (0, 1] or [-1, 0)", self.discount)
        require(0 < self.pb_c_base < math.inf, "pb_c_base", "above 0", self.pb_c_base)
        require(0 <= self.dirichlet_fraction <= 1, "dirichlet_fraction", "in [0, 1]", self.dirichlet_fraction)
        require(0 < self.dirichlet_alpha < math.inf, "dirichlet_alpha", "above 0", self.dirichlet_alpha)
        require(self.num_outcomes >= 1, "num_outcomes", "of at least 1", self.num_outcomes)
        require(self.num_sampled_actions >= 2, "num_sampled_actions", "of at least 2", self.num_sampled_actions)
        require(0 <= self.reuse_tolerance < math.inf, "reuse_tolerance", "of at least 0", self.reuse_tolerance)
        self._require_names()
        self._require_fit()

    def _require_names(self) -> None:
        known = {
            "select": ("puct", "uct", "gumbel"),
            "backup": ("mean", "best"),
            "normalise": ("tree", "siblings"),
            "horizon_from": ("root", "leaf"),
        }
        for name, choices in known.items():
            expected = f"to be {' or '.join(map(repr, choices))}"
            require(getattr(self, name) in choices, name, expected, getattr(self, name))

    def _require_fit(self) -> None:
        """What no setting can do alone."""
        taking_turns = self.discount < 0
        require(self.hold == 1 or not taking_turns, "hold", "of 1 where two players take turns", self.hold)
        require(not (self.reuse and self.stochastic_model), "reuse", "off with a stochastic model", self.reuse)
        for name, wanted in (("milliseconds", self.milliseconds), ("reuse", self.reuse)):
            planned = self.select != "gumbel" or not wanted
            require(planned, name, "off with Gumbel, whose sequential halving plans all simulations at first", wanted)


@dataclass(frozen=True)
class ICEMConfig(RefittedConfig):
    """iCEM: the cross-entropy method with noise correlated in time, fewer sequences each round, and elites kept."""

    horizon: int = 30
    num_sequences: int = 100
    iterations: int = 4
    elite_fraction: float = 0.1
    """Share of the first round's sequences that the distribution is refitted to, in (0, 1]."""
    smoothing: float = 0.1
    """Weight of the old distribution in the new one, in [0, 1)."""
    min_std: float = 0.0
    """Lowest standard deviation of a Box action, as a share of its range, at least 0."""
    kept_fraction: float = 0.3
    """Share of the elites that compete again in the next round and, shifted, at the next step, in [0, 1]."""
    decay: float = 1.25
    """Each round draws so many times fewer sequences than the one before, at least 1; never below twice the elites."""
    noise_exponent: float = 1.0
    """Noise along a sequence falls in power as frequency to this exponent, at least 0; 0 is white."""
    act_on: Literal["best", "mean"] = "best"
    """Act on the best sequence seen in the last round, or on the mean of the refitted distribution."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_elites(self)
        require(0 <= self.kept_fraction <= 1, "kept_fraction", "in [0, 1]", self.kept_fraction)
        require(1 <= self.decay < math.inf, "decay", "of at least 1", self.decay)
        require(0 <= self.noise_exponent < math.inf, "noise_exponent", "of at least 0", self.noise_exponent)
        require(self.act_on in ("best", "mean"), "act_on", "to be 'best' or 'mean'", self.act_on)


@dataclass(frozen=True)
class MPPIConfig(RefittedConfig):
    """Model predictive path integral control: all sequences weigh in, the better the more.

    Its ``initial_std`` is the paper's sigma, which it keeps, unless ``std_decay`` is below 1.
    """

    temperature: float = 0.1
    """How little better returns count for more, above 0."""
    relative_temperature: bool = True
    """The temperature is in standard deviations of a state's returns; without this in units of return."""
    std_decay: float = 1.0
    """Each round draws with so many times the standard deviation of the one before, in (0, 1]; 1 as in the paper."""
    noise_exponent: float = 0.0
    """Noise along a sequence falls in power as frequency to this exponent, at least 0; 0 is white."""
    control_cost: float = 0.0
    """Weight, at least 0, of the price ``u (v - u) / sigma^2`` of a drawn Box action v about a nominal u that is
    counted from the middle of the range: gamma of the paper, in units of return."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.temperature < math.inf, "temperature", "above 0", self.temperature)
        require(0 < self.std_decay <= 1, "std_decay", "in (0, 1]", self.std_decay)
        require(0 <= self.noise_exponent < math.inf, "noise_exponent", "of at least 0", self.noise_exponent)
        require(0 <= self.control_cost < math.inf, "control_cost", "of at least 0", self.control_cost)


@dataclass(frozen=True)
class GradientConfig(TrajectoryConfig):
    """Gradient ascent on drawn action sequences, through the model; Box actions, models that can be differentiated."""

    num_sequences: int = 8
    iterations: int = 20
    """Gradient steps, at least 1."""
    learning_rate: float = 0.05
    """Adam's step, as a share of the action's range, above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.iterations >= 1, "iterations", "of at least 1", self.iterations)
        require(0 < self.learning_rate < math.inf, "learning_rate", "above 0", self.learning_rate)


PlannerConfig = RandomShootingConfig | CEMConfig | ICEMConfig | MPPIConfig | GradientConfig | MCTSConfig
PLANNERS: dict[str, type[PlannerConfig]] = {
    "random-shooting": RandomShootingConfig,
    "cem": CEMConfig,
    "icem": ICEMConfig,
    "mppi": MPPIConfig,
    "gradient": GradientConfig,
    "mcts": MCTSConfig,
}
"""Settings of the planners, by the names that commands know them by."""


def _require_elites(config: CEMConfig | ICEMConfig) -> None:
    require(0 < config.elite_fraction <= 1, "elite_fraction", "in (0, 1]", config.elite_fraction)
    require(0 <= config.smoothing < 1, "smoothing", "in [0, 1)", config.smoothing)
    require(0 <= config.min_std < math.inf, "min_std", "of at least 0", config.min_std)
