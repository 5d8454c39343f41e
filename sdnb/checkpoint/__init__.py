"""Reading what people have: `.ckpt`, `.safetensors`, diffusers folders and hub ids."""

from sdnb.checkpoint.errors import CheckpointError
from sdnb.checkpoint.fill import Tensors, fill
from sdnb.checkpoint.reader import Checkpoint, read
from sdnb.checkpoint.tensors import LazyTensor

__all__ = ["Checkpoint", "CheckpointError", "LazyTensor", "Tensors", "fill", "read"]
