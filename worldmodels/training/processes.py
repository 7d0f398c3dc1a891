"""Training in several processes of this machine: gradients are averaged over them (``ddp``).

Every process reads the log itself, takes its own rows of every batch, and comes to the same weights; the first one
writes. Lightning could start the processes too, but leaves them behind when this one is interrupted, and answers
SIGTERM by talking to processes that may be gone.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

from lightning.fabric.plugins.environments.lightning import find_free_network_port
from torch.multiprocessing.spawn import start_processes
from tqdm import tqdm

from envs.logs import open_log
from worldmodels.configs import FitConfig
from worldmodels.training.fit_folder import FitFiles


class Job(NamedTuple):
    """What every process is told.

    Attributes:
        log: folder of the log.
        config: the architecture.
        fit: the training.
        progress: title of the progress bar, or None for no bar.
        files: where the first process leaves the result, as a checkpoint.
    """

    log: Path
    config: Any
    fit: FitConfig
    progress: str | None
    files: FitFiles


def train_in_processes(job: Job) -> None:
    """Runs the job in ``job.fit.num_processes`` new processes and waits; they end when this one does, however it ends.

    As for every spawned process, a script that calls this must do so below ``if __name__ == "__main__"``.
    """
    port, num_processes = find_free_network_port(), job.fit.num_processes
    context = start_processes(_work, (job, port), nprocs=num_processes, join=False, start_method="spawn")
    try:
        while not context.join():
            pass
    except BaseException:
        if job.progress is not None:
            print(file=sys.stderr)  # a process that is killed leaves its bar's line open
        raise
    finally:
        for process in context.processes:
            process.kill()  # checkpoints are written whole or not at all
            process.join()


def _work(rank: int, job: Job, port: int) -> None:
    """One process. torch has it interrupted when its parent dies, even by ``kill -9``."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # without a traceback beside the parent's sentence
    tqdm.set_lock(threading.RLock())  # its own, shared by processes, would be reported as leaked after a kill
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(job.fit.num_processes),
    }
    from worldmodels.training.lightning_module import make_training
    from worldmodels.training.trainer import train

    training = make_training(open_log(job.log), job.config, job.fit)
    train(training, job.fit, job.progress if rank == 0 else None, job.files)
