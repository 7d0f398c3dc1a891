"""Settings of world models and of their training. Nothing heavy is imported here, so that ``--help`` is instant."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from envs.errors import require

Propagation = Literal["mean", "ts1", "tsinf"]
"""How members are combined: their mean, one drawn at every step, or one drawn for the whole episode."""

TerminationInputs = Literal["next", "transition"]
"""What tells an end: the observation that a step led to, or also how it got there and the action."""

Start = Literal["initial", "any"]
"""Where imagined episodes start: at first observations of logged episodes, or at any logged observation."""


def require_propagation(propagation: str) -> None:
    """Raises `InputError` unless ``propagation`` is a known one."""
    known = get_args(Propagation)
    require(propagation in known, "propagation", f"to be one of {', '.join(known)}", propagation)


@dataclass(frozen=True)
class EnsembleConfig:
    """A probabilistic ensemble of multilayer perceptrons."""

    num_members: int = 5
    """Networks in the ensemble, each with its own weights and its own order of the data."""
    num_elites: int | None = None
    """Keep only this many members, the best on validation data; None keeps all."""
    hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the dynamics networks."""
    termination_hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer of the termination networks."""
    termination_inputs: TerminationInputs = "next"
    """What tells an end: next (the observation that the step led to) or transition (also its change and the action)."""
    propagation: Propagation = "mean"
    """How members are combined: mean, ts1 (one drawn at every step), tsinf (one drawn for the episode)."""
    log_variance_bounds: tuple[float, float] = (-10.0, 0.5)
    """Soft bounds of the log-variance, in normalised units, at the start of training."""

    def __post_init__(self) -> None:
        require(self.num_members >= 1, "num_members", "of at least 1", self.num_members)
        elites = self.num_elites
        require(elites is None or 1 <= elites <= self.num_members, "num_elites", "from 1 to num_members", elites)
        for name, widths in (("hidden", self.hidden), ("termination_hidden", self.termination_hidden)):
            require(bool(widths) and min(widths) >= 1, name, "of one or more widths of at least 1", widths)
        known = get_args(TerminationInputs)
        expected = f"to be one of {', '.join(known)}"
        require(self.termination_inputs in known, "termination_inputs", expected, self.termination_inputs)
        require_propagation(self.propagation)
        low, high = self.log_variance_bounds
        require(low < high, "log_variance_bounds", "(low, high) with low < high", self.log_variance_bounds)


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

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed", "of at least 0", self.seed)
        for name in ("num_updates", "batch_size", "validate_every", "patience", "num_threads"):
            require(getattr(self, name) >= 1, name, "of at least 1", getattr(self, name))
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
