"""The shapes of the embedded model, and what its folder has beside the networks.

Its widths give 49 MB in half precision and a few seconds a picture on two CPU cores. Heads have 32
channels, since narrower ones are slow. Norms have 8 groups: with 32 groups on 32 channels a norm
keeps no uniform colour, and the pictures lose theirs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sdnb.engine.checkpoint import export
from sdnb.engine.checkpoint.folders import COMPONENTS
from sdnb.engine.networks import text
from sdnb.engine.networks.config import ModelConfig, TextConfig, UNetConfig, VAEConfig
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.request import Settings

from . import tokens

_TABLE = "embeddings.token_embedding.weight"
_NOISE = 0.002  # a tenth of the deviation of a row to begin from


def tiny(vocabulary: int, size: int = 256) -> ModelConfig:
    """The embedded model's configuration, for a tokenizer of so many tokens."""
    width = 256
    return ModelConfig(
        unet=UNetConfig(channels=(96, 128, 160, 96), head_width=32, context_dim=width, groups=8),
        vae=VAEConfig(channels=(32, 64, 96, 96), groups=8),
        text=TextConfig(vocab=vocabulary, width=width, layers=4, heads=4, hidden=4 * width),
        settings=Settings(width=size, height=size, cfg=4.0),
    )


def of(tokenizer: Path, size: int = 256) -> ModelConfig:
    """The configuration that suits a tokenizer's folder."""
    return tiny(Tokenizer(tokenizer).size, size)


def new_text(config: TextConfig) -> nn.Module:
    """A text encoder with random weights to begin from."""
    model = text.build(config).to_empty(device="cpu")
    for name, p in model.named_parameters():
        if p.ndim > 1:
            nn.init.normal_(p, std=0.02)
        else:
            nn.init.constant_(p, 1.0 if name.endswith("weight") else 0.0)
    return model


def save_rest(config: ModelConfig, tokenizer: Path, folder: Path) -> None:
    """Write the rest of a model's folder: tokenizer, schedule, index and sdnb's settings."""
    copied(tokenizer, folder / "tokenizer")
    export.write_index(config, folder)
    _write_marks(Tokenizer(tokenizer), folder / COMPONENTS["text"] / "config.json")
    settings = {name: value for name, value in asdict(config.settings).items() if value is not None}
    lines = [f"  {name}: {value}" for name, value in settings.items()]
    (folder / "sdnb.yaml").write_text("\n".join(["settings:", *lines, ""]), encoding="utf-8")


def _write_marks(tokenizer: Tokenizer, file: Path) -> None:
    """Tell transformers the ids of the marks, which are not the last ones in a grown tokenizer."""
    if file.exists():
        marks = {"bos": tokenizer.start, "eos": tokenizer.end, "pad": tokenizer.padding}
        config = json.loads(file.read_text("utf-8"))
        config |= {f"{name}_token_id": number for name, number in marks.items()}
        file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def copied(source: Path, target: Path) -> None:
    """Copy a folder's files into another folder, which may be the same one."""
    if source.resolve() != target.resolve():
        shutil.copytree(source, target, dirs_exist_ok=True)


def load_part(
    module: nn.Module, config: ModelConfig, part: str, folder: Path, tokenizer: Path | None = None
) -> None:
    """Load the weights that `export.write_part` or diffusers wrote, to go on training.

    With a `tokenizer` that goes on from the folder's, the table of "text" gets a row for each new
    token: the mean of those of the pieces into which its letters fell before, and a little noise.
    """
    stored = load_file(folder / COMPONENTS[part] / export.WEIGHTS[part])
    stored = {key.removeprefix("text_model."): tensor for key, tensor in stored.items()}
    if part == "text" and tokenizer:
        stored[_TABLE] = grown(stored[_TABLE], tokens.pieces(folder / "tokenizer", tokenizer))
    rows = export.rows(config, part)
    filled = {row.compvis: stored[row.diffusers].float().view(row.shape) for row in rows}
    module.load_state_dict(filled)


def grown(table: Tensor, pieces: Mapping[int, Sequence[int]]) -> Tensor:
    """A table of tokens `[n, width]` with the rows of `pieces`, whose ids are n, n + 1, ...

    ValueError if they are not.
    """
    if sorted(pieces) != list(range(len(table), len(table) + len(pieces))):
        raise ValueError(f"new tokens should have the ids from {len(table)} on, without a gap")
    table = table.float()
    rows = [table[list(pieces[number])].mean(0) for number in sorted(pieces)]
    noise = torch.Generator().manual_seed(0)  # the same rows in every process
    added = torch.stack(rows) if rows else table[:0]
    added = added + _NOISE * torch.randn(added.shape, generator=noise)
    return torch.cat([table, added])
