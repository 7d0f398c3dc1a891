"""Settings of world models and of their training. Nothing heavy is imported here, so that ``--help`` is instant."""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from envs.errors import InputError, require

Propagation = Literal["mean", "ts1", "tsinf", "elite"]
"""How members are combined: the elites' mean; one of all drawn at every step, or for the whole episode (PETS); one of
the elites drawn at every step (MBPO)."""

UncertaintyKind = Literal["epistemic", "aleatoric", "total"]
"""Which uncertainty: the members' disagreement, the noise they expect, or both (see `worldmodels.uncertainty`)."""

TerminationInputs = Literal["next", "transition"]
"""What tells an end: the observation that a step led to, or also how it got there and the action."""

Cell = Literal["gru", "lstm"]
"""What a recurrent model remembers with."""

FamilyName = Literal["ensemble", "mlp", "factored", "categorical", "recurrent"]
"""The keys of `worldmodels.families.table.FAMILIES`."""

Strategy = Literal["auto", "ddp"]
"""Whether one process trains, or several that average their gradients (distributed data parallel)."""

Start = Literal["initial", "any", "learned"]
"""Where imagined episodes start: at first observations of logged episodes, at any logged observation, or at new first
observations drawn between logged ones (see `worldmodels.gym.learned_starts`)."""


def require_propagation(propagation: str) -> None:
    """Raises `InputError` unless ``propagation`` is a known one."""
    known = get_args(Propagation)
    require(propagation in known, "propagation", f"to be one of {', '.join(known)}", propagation)


def require_widths(**widths: tuple[int, ...]) -> None:
    """Raises `InputError` unless each of ``widths``, by field name, is one or more widths of at least 1."""
    for name, values in widths.items():
        require(bool(values) and min(values) >= 1, name, "of one or more widths of at least 1", values)


def require_termination_inputs(inputs: str) -> None:
    """Raises `InputError` unless ``inputs`` is a known one."""
    known = get_args(TerminationInputs)
    require(inputs in known, "termination_inputs", f"to be one of {', '.join(known)}", inputs)


@dataclass(frozen=True)
class EnsembleConfig:
    """A probabilistic ensemble of multilayer perceptrons."""

    num_members: int = 5
    """Networks in the ensemble, each with its own weights and its own order of the data."""
    num_elites: int | None = None
    """This many members, the best on validation data, are the elites that mean and elite combine; None for all."""
    hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the dynamics networks."""
    termination_hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the termination networks."""
    termination_inputs: TerminationInputs = "next"
    """What tells an end: next (the observation that the step led to) or transition (also its change and the action)."""
    propagation: Propagation = "mean"
    """How members are combined: mean (of the elites), ts1 (one drawn at every step), tsinf (one drawn for the
    episode), elite (an elite drawn at every step)."""
    log_variance_bounds: tuple[float, float] = (-10.0, 0.5)
    """Soft bounds of the log-variance, in normalised units, at the start of training."""

    def __post_init__(self) -> None:
        require(self.num_members >= 1, "num_members", "of at least 1", self.num_members)
        elites = self.num_elites
        require(elites is None or 1 <= elites <= self.num_members, "num_elites", "from 1 to num_members", elites)
        require_widths(hidden=self.hidden, termination_hidden=self.termination_hidden)
        require_termination_inputs(self.termination_inputs)
        require_propagation(self.propagation)
        low, high = self.log_variance_bounds
        require(low < high, "log_variance_bounds", "(low, high) with low < high", self.log_variance_bounds)


@dataclass(frozen=True)
class MLPConfig:
    """A deterministic multilayer perceptron, with a second one for terminations."""

    hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the dynamics network."""
    termination_hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the termination network."""
    termination_inputs: TerminationInputs = "next"
    """What tells an end: next (the observation that the step led to) or transition (also its change and the action)."""

    def __post_init__(self) -> None:
        require_widths(hidden=self.hidden, termination_hidden=self.termination_hidden)
        require_termination_inputs(self.termination_inputs)


@dataclass(frozen=True)
class FactoredConfig:
    """Separate networks for transition, reward and termination, each with its own sizes and, if wished, own log."""

    hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the transition network."""
    reward_hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the reward network."""
    termination_hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the termination network."""
    termination_inputs: TerminationInputs = "next"
    """What tells an end: next (the observation that the step led to) or transition (also its change and the action)."""
    reward_learning_rate: float | None = None
    """Step size at the start for the reward network; None for the training's learning_rate."""
    reward_log: str | None = None
    """Folder of another log of the same environment to learn the reward from; None for the log of the transitions."""
    termination_log: str | None = None
    """Folder of another log of the same environment to learn terminations from; None for the log of the transitions."""
    log_variance_bounds: tuple[float, float] = (-10.0, 0.5)
    """Soft bounds of the log-variances, in normalised units, at the start of training."""

    def __post_init__(self) -> None:
        require_widths(hidden=self.hidden, reward_hidden=self.reward_hidden, termination_hidden=self.termination_hidden)
        require_termination_inputs(self.termination_inputs)
        rate = self.reward_learning_rate
        require(rate is None or rate > 0, "reward_learning_rate", "above 0 or None", rate)
        low, high = self.log_variance_bounds
        require(low < high, "log_variance_bounds", "(low, high) with low < high", self.log_variance_bounds)


@dataclass(frozen=True)
class CategoricalConfig:
    """An ensemble for Discrete observations and actions: probabilities of the next state."""

    num_members: int = 3
    """Networks in the ensemble, each with its own weights and its own order of the data."""
    hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the transition networks."""
    reward_hidden: tuple[int, ...] = (32,)
    """Width of each hidden layer of the reward networks."""
    termination_hidden: tuple[int, ...] = (32,)
    """Width of each hidden layer of the termination networks."""
    learning_rate_factor: float = 4.0
    """How many times the training's learning rates: each weight of a one-hot input is seen in few rows only."""

    def __post_init__(self) -> None:
        require(self.num_members >= 1, "num_members", "of at least 1", self.num_members)
        require(self.learning_rate_factor > 0, "learning_rate_factor", "above 0", self.learning_rate_factor)
        require_widths(hidden=self.hidden, reward_hidden=self.reward_hidden, termination_hidden=self.termination_hidden)


@dataclass(frozen=True)
class RecurrentConfig:
    """A recurrent network that predicts a mixture of Gaussians, with a perceptron for terminations."""

    cell: Cell = "lstm"
    """What remembers: lstm or gru."""
    memory_size: int = 64
    """Units of the cell."""
    hidden: tuple[int, ...] = (64,)
    """Width of each hidden layer between the cell and the prediction."""
    num_components: int = 1
    """Gaussians of the mixture that is predicted; 1 for a plain Gaussian."""
    termination_hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the termination network."""
    termination_inputs: TerminationInputs = "next"
    """What tells an end: next (the observation that the step led to) or transition (also its change and the action)."""
    window: int = 32
    """Steps in a row that are read of an episode in training."""
    burn_in: int = 8
    """The first steps of a window only fill the memory, unless the episode starts there; the others count as the
    transitions of a batch."""
    learning_rate: float = 1e-2
    """Adam's step size at the start for cell and prediction, in place of the training's."""
    log_variance_bounds: tuple[float, float] = (-10.0, 0.5)
    """Soft bounds of the log-variances, in normalised units, at the start of training."""

    def __post_init__(self) -> None:
        known = get_args(Cell)
        require(self.cell in known, "cell", f"to be one of {', '.join(known)}", self.cell)
        for name in ("memory_size", "num_components"):
            require(getattr(self, name) >= 1, name, "of at least 1", getattr(self, name))
        require_widths(hidden=self.hidden, termination_hidden=self.termination_hidden)
        require_termination_inputs(self.termination_inputs)
        inside = 0 <= self.burn_in < self.window
        require(inside, "burn_in and window", "with 0 <= burn_in < window", (self.burn_in, self.window))
        require(self.learning_rate > 0, "learning_rate", "above 0", self.learning_rate)
        low, high = self.log_variance_bounds
        require(low < high, "log_variance_bounds", "(low, high) with low < high", self.log_variance_bounds)


ModelConfig = EnsembleConfig | MLPConfig | FactoredConfig | CategoricalConfig | RecurrentConfig


@dataclass(frozen=True)
class ModelChoice:
    """Which family of world model, and its settings. The other families' settings stay as they are."""

    family: FamilyName = "ensemble"
    """Family of world model; its settings are those below under its name."""
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    mlp: MLPConfig = field(default_factory=MLPConfig)
    factored: FactoredConfig = field(default_factory=FactoredConfig)
    categorical: CategoricalConfig = field(default_factory=CategoricalConfig)
    recurrent: RecurrentConfig = field(default_factory=RecurrentConfig)

    def __post_init__(self) -> None:
        known = get_args(FamilyName)
        require(self.family in known, "family", f"to be one of {', '.join(known)}", self.family)
        for name in known:
            config = getattr(self, name)
            if name != self.family and config != type(config)():
                raise InputError(f"expected settings of the chosen family {self.family} alone, got some of {name} too")

    @property
    def chosen(self) -> ModelConfig:
        """The settings of the chosen family."""
        config: ModelConfig = getattr(self, self.family)
        return config


@dataclass(frozen=True)
class FitConfig:
    """How a world model is trained on a log."""

    seed: int = 0
    """Fixes the split, the weights at the start, and the order of the data."""
    num_updates: int = 3000
    """Most gradient steps to take."""
    batch_size: int = 256
    """Transitions a member sees in one gradient step."""
    learning_rate: float = 5e-3
    """Adam's step size at the start for the dynamics networks; it falls to zero along a cosine."""
    termination_learning_rate: float = 1e-2
    """The same for the termination networks, whose boundaries are sharp and whose positives are few."""
    weight_decay: float = 1e-5
    """Decoupled weight decay."""
    termination_lasso: float = 5e-4
    """Group lasso on what the termination networks read: ends depend on few dimensions, and hold wherever the others
    go (logs show a boundary only as it is crossed; without this, nothing ends an episode that rests beyond it)."""
    bound_penalty: float = 0.01
    """Weight of the term that narrows the bounds of the log-variance."""
    bootstrap: bool = False
    """Give each member its own resampling of the transitions (with replacement), not only its own order of them."""
    validation_fraction: float = 0.1
    """Share of the steps, in whole episodes, that chooses the best weights."""
    test_fraction: float = 0.1
    """Share of the steps, in whole episodes, that training never sees: the quality report is made on them."""
    validate_every: int = 100
    """Gradient steps between two looks at the validation episodes."""
    patience: int = 15
    """Stop after this many looks without an improvement."""
    min_improvement: float = 0.01
    """Smallest relative fall of a member's validation error that counts as an improvement."""
    num_threads: int = 1
    """CPU threads; small networks are slower on two, and far slower where others use the cores."""
    device: str = "cpu"
    """Lightning accelerator to train on: cpu, cuda, mps or auto."""
    precision: str = "32-true"
    """Lightning precision, for example 32-true or bf16-mixed."""
    strategy: Strategy = "auto"
    """auto (one process) or ddp (num_processes, each with its part of every batch; their gradients are averaged)."""
    num_processes: int = 2
    """Processes of ddp, each with num_threads threads, or with one of the GPUs."""

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed", "of at least 0", self.seed)
        for name in ("num_updates", "batch_size", "validate_every", "patience", "num_threads", "num_processes"):
            require(getattr(self, name) >= 1, name, "of at least 1", getattr(self, name))
        known = get_args(Strategy)
        require(self.strategy in known, "strategy", f"to be one of {', '.join(known)}", self.strategy)
        for name in ("learning_rate", "termination_learning_rate"):
            require(getattr(self, name) > 0, name, "above 0", getattr(self, name))
        for name in ("weight_decay", "termination_lasso", "bound_penalty", "min_improvement"):
            require(getattr(self, name) >= 0, name, "of at least 0", getattr(self, name))
        fractions = (self.validation_fraction, self.test_fraction)
        inside = min(fractions) > 0 and sum(fractions) < 1
        require(inside, "validation_fraction and test_fraction", "above 0 and together below 1", fractions)

    @property
    def num_looks(self) -> int:
        """Looks at the validation episodes, if training is not stopped early."""
        return math.ceil(self.num_updates / self.validate_every)

    @property
    def updates_per_look(self) -> int:
        """Gradient steps before each look: ``validate_every``, or a little less so that all looks are as far apart."""
        return self.num_updates // self.num_looks


@dataclass(frozen=True)
class EpisodeConfig:
    """Where imagined episodes start, when they are cut, and what uncertainty costs."""

    start: Start = "initial"
    """Where they start: initial (a first observation of a logged episode), any (any logged observation) or learned (a
    new first observation between near logged ones)."""
    horizon: int | None = None
    """Steps after which an episode is truncated; None for the real environment's own limit."""
    uncertainty: UncertaintyKind = "epistemic"
    """Which uncertainty is reported, limited and paid for: epistemic (the members disagree), aleatoric (the noise that
    the model expects) or total."""
    max_uncertainty: float | None = None
    """Truncate where the uncertainty of a step passes this; None for no such limit."""
    uncertainty_quantile: float | None = None
    """The same limit, as a quantile in [0, 1] of the uncertainty on the training data."""
    pessimism: float = 0.0
    """Taken off each reward for each unit of uncertainty (lambda in MOPO)."""

    def __post_init__(self) -> None:
        starts, kinds = get_args(Start), get_args(UncertaintyKind)
        require(self.start in starts, "start", f"to be one of {', '.join(starts)}", self.start)
        require(self.uncertainty in kinds, "uncertainty", f"to be one of {', '.join(kinds)}", self.uncertainty)
        require(self.horizon is None or self.horizon >= 1, "horizon", "of at least 1 step", self.horizon)
        highest, quantile = self.max_uncertainty, self.uncertainty_quantile
        require(highest is None or highest >= 0, "max_uncertainty", "of at least 0", highest)
        require(quantile is None or 0 <= quantile <= 1, "uncertainty_quantile", "from 0 to 1", quantile)
        both = highest is not None and quantile is not None
        require(not both, "max_uncertainty or uncertainty_quantile", "but not both", (highest, quantile))
        pessimism = self.pessimism
        require(0 <= pessimism < math.inf, "pessimism", "of at least 0 and finite", pessimism)


@dataclass(frozen=True)
class RolloutLengthConfig:
    """How long imagined rollouts are as training goes on: a straight line between two epochs, level outside them.

    MBPO (Janner et al. 2019, https://arxiv.org/abs/1906.08253, table 2): 1 to 15 over epochs 20 to 150 on Hopper.
    """

    first: int = 1
    """Steps of a rollout up to ``from_epoch``."""
    last: int = 1
    """Steps of a rollout from ``to_epoch`` on."""
    from_epoch: int = 0
    """Epoch at which the line starts."""
    to_epoch: int = 1
    """Epoch at which the line ends."""

    def __post_init__(self) -> None:
        require(min(self.first, self.last) >= 1, "rollout lengths", "of at least 1 step", (self.first, self.last))
        epochs = (self.from_epoch, self.to_epoch)
        require(0 <= epochs[0] < epochs[1], "from_epoch and to_epoch", "0 <= from_epoch < to_epoch", epochs)

    def length_at(self, epoch: int) -> int:
        """Returns the steps of a rollout in ``epoch``, counted from 0."""
        share = (epoch - self.from_epoch) / (self.to_epoch - self.from_epoch)
        return int(self.first + min(max(share, 0.0), 1.0) * (self.last - self.first))
