"""Speed of the planners, each case in a process of its own with one thread.

Run it with ``python -m benchmarks.planners``; ``--case`` runs one. A case is a function in a ``CASES`` of one of the
modules below.
"""

import argparse
import os
import subprocess
import sys

import torch

from benchmarks import planners_search, planners_trajectory
from envs.threads import torch_threads

CASES = {**planners_search.CASES, **planners_trajectory.CASES}
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def main() -> None:
    """Runs all cases, or, in this process, one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, help="one case, in this process")
    given = parser.parse_args()
    if given.case:
        with torch_threads(1), torch.inference_mode():
            CASES[given.case]()
        return
    for name in CASES:
        command = [sys.executable, "-m", "benchmarks.planners", "--case", name]
        subprocess.run(command, env={**os.environ, **ONE_THREAD}, check=True)


if __name__ == "__main__":
    main()
