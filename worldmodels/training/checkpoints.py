"""Checkpoints that are whole or not there, that tell damage, and that cannot run code when they are read.

A file is the SHA-256 of what follows it (torch would read most damaged files without a word), then torch's own format.
"""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from envs.errors import InputError
from envs.files import write_atomically

_DIGEST_BYTES = 32


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints under a temporary name, flushes and renames them: a crash leaves the one before.

    Lightning's own renames too, but does not wait for the disk, and would unpickle whatever it finds.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: Any,
        storage_options: Any = None,  # noqa: ARG002, Lightning's signature
    ) -> None:
        blob = io.BytesIO()
        torch.save(checkpoint, blob)
        content = blob.getvalue()
        write_atomically(Path(path), hashlib.sha256(content).digest() + content)

    def load_checkpoint(
        self,
        path: Any,
        map_location: Any = None,  # noqa: ARG002, Lightning's signature
        weights_only: bool | None = None,  # noqa: ARG002, Lightning's signature
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint, its tensors to the CPU.

    Raises:
        InputError: it is damaged, or holds more than tensors, numbers and text.
    """
    file = path.read_bytes()
    digest, content = file[:_DIGEST_BYTES], file[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise InputError(f"expected a checkpoint at {path}, but it is damaged; --overwrite trains anew")
    try:
        checkpoint: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(f"expected tensors, numbers and text alone in the checkpoint {path}, found more") from None
    return checkpoint


class KeepCheckpoint(lightning.Callback):
    """Writes a checkpoint after every look at the validation data."""

    def __init__(self, path: Path):
        self._path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        # An epoch of Lightning's ends with a look: best weights are chosen, the row of metrics is there.
        trainer.save_checkpoint(self._path)
