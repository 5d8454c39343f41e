"""Reads models from `.ckpt` and `.safetensors` files, diffusers folders and hub ids."""

from sdnb.engine.checkpoint.assign import Tensors, assign_weights, check_weights
from sdnb.engine.checkpoint.reader import Checkpoint, read
from sdnb.engine.checkpoint.tensors import LazyTensor
from sdnb.headers.errors import CheckpointError

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "LazyTensor",
    "Tensors",
    "assign_weights",
    "check_weights",
    "read",
]
