"""``simulacra``: parses the command line, runs a command, and tells bad input in one sentence with exit code 2."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import tyro

from envs.errors import InputError
from experiments.commands import COMMANDS, Command, Transfer
from experiments.presets import preset

_DESCRIPTION = (
    "Learned world models and evolved synthetic environments for reinforcement learning, "
    "judged on the real environment."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script; exits with 0, with 2 on bad input, with 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        parse(arguments).run()
    except InputError as error:
        print(f"simulacra: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("simulacra: interrupted; what was finished is kept, and transfer --resume goes on", file=sys.stderr)
        raise SystemExit(130) from None


def parse(arguments: Sequence[str]) -> Command:
    """Returns the command that the arguments spell; exits as argparse does on a usage error (2) or ``--help`` (0)."""
    if arguments and arguments[0] == "transfer":
        # The preset is looked up first, so that every one of its settings can be an option whose default it gives.
        return tyro.cli(
            Transfer,
            args=list(arguments[1:]),
            default=_transfer_from_preset(arguments),
            prog="simulacra transfer",
            description=Transfer.__doc__,
        )
    choices: dict[str, Callable[..., Command]] = dict(COMMANDS)
    command: Command = tyro.extras.subcommand_cli_from_dict(
        choices, args=list(arguments), prog="simulacra", description=_DESCRIPTION, sort_subcommands=False
    )
    return command


def _transfer_from_preset(arguments: Sequence[str]) -> Transfer:
    name = "cartpole"
    for i, argument in enumerate(arguments):
        if argument == "--preset" and i + 1 < len(arguments):
            name = arguments[i + 1]
        elif argument.startswith("--preset="):
            name = argument.removeprefix("--preset=")
    return replace(Transfer(out=tyro.MISSING), preset=name, config=preset(name))
