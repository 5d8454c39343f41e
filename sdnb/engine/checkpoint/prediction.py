"""What a model's UNet predicts, and on which noise schedule: as asked for, as its files say, or as
its weights suggest.

Of Stable Diffusion 1.x, what nothing says is eps. Of 2.x there are as many that predict v, and
their files are alike: there the weights are looked at, and a note says what was assumed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sdnb.engine.checkpoint.assign import Tensors
from sdnb.engine.checkpoint.configs import PREDICTIONS, Overrides
from sdnb.engine.networks.config import ModelConfig, NoiseConfig
from sdnb.headers.errors import CheckpointError
from sdnb.request import checks

NAMES = ("eps", "v", "v_ztsnr")  # what `load(prediction=)` takes
_ZTSNR = re.compile(r"_?z(t|ero_terminal_)?snr$")

#: Where the bias of the last self-attention's norm varies more than this, a model of the 2.x family
#: predicts v: ComfyUI's rule, which nobody derived.
V_DEVIATION = 0.09


def asked(word: object) -> Overrides:
    """`prediction=` of `load` as overrides. Raises CheckpointError for an unknown one."""
    plain = re.sub(r"[\s+-]+", "_", word.strip().lower()) if isinstance(word, str) else ""
    kind, ztsnr = PREDICTIONS.get(_ZTSNR.sub("", plain)), bool(_ZTSNR.search(plain))
    if kind is None:
        raise CheckpointError(
            f"prediction={checks.shown(word)} is unknown; {checks.known(plain, NAMES)}"
        )
    values = {"prediction": kind, "ztsnr": ztsnr}
    _refuse_impossible(kind, ztsnr, f"prediction={checks.shown(word)}")
    return {"noise": values}


def marked(metadata: Mapping[str, str], markers: Collection[str]) -> Overrides:
    """What a single file says of itself: by its metadata (https://github.com/Stability-AI/ModelSpec)
    and by the empty tensors with which trainers mark a model.
    """
    values: dict[str, Any] = {}
    said = PREDICTIONS.get(metadata.get("modelspec.prediction_type", "").strip().lower())
    if said is not None:
        values["prediction"] = said
    if "v_pred" in markers:
        values["prediction"] = "v"
    if "ztsnr" in markers:
        values["ztsnr"] = True
    return {"noise": values} if values else {}


def compared(own: Overrides, noise: NoiseConfig) -> list[str]:
    """A note, where a model's own files (`own`) say another thing than what is done, or that it
    predicts v.
    """
    told = own.get("noise", {})
    says = told.get("prediction", noise.prediction), told.get("ztsnr", noise.ztsnr)
    if says != (noise.prediction, noise.ztsnr):
        theirs, ours = (_name(*kind) for kind in (says, (noise.prediction, noise.ztsnr)))
        return [f"its files say {theirs}; it is run as {ours}, as was asked for"]
    is_told = told.get("prediction") == "v"
    return ["its files say that it predicts v, and it is run so"] if is_told else []


def _name(kind: str, ztsnr: bool) -> str:
    return f"{kind}_ztsnr" if ztsnr else kind


def settled(
    config: ModelConfig, said: Overrides, unet: Tensors, path: Path, notes: list[str]
) -> ModelConfig:
    """The configuration with the kind of prediction, and the settings that go with it, where `said`
    (all that files and the caller say) leaves them open. Notes tell what was assumed.

    Raises CheckpointError for eps with zero terminal SNR.
    """
    noise, settings = config.noise, config.settings
    is_2 = config.text.activation == "gelu"  # OpenCLIP's encoder
    if is_2 and "prediction" not in said.get("noise", {}):
        noise = replace(noise, prediction=_by_weights(config, unet, notes))
    _refuse_impossible(noise.prediction, noise.ztsnr, str(path))
    suits: dict[str, Any] = {}
    if is_2 and noise.prediction == "v":
        suits |= {"width": 768, "height": 768}
    if noise.ztsnr:
        suits["schedule"] = "trailing"
        notes.append(
            "its noise schedule has zero terminal SNR: the schedule 'trailing' suits it, and "
            "cfg_rescale=0.7 keeps its contrast as it was trained"
        )
    given = said.get("settings", {})
    suits = {name: value for name, value in suits.items() if name not in given}
    settings = replace(settings, **suits)
    if is_2 and settings.steps > 4 and "turbo" in path.stem.lower():
        notes.append(
            "its name says Turbo. If it is SD-Turbo, take steps=1, cfg=1, sampler='euler' and "
            "schedule='trailing'"
        )
    return replace(config, noise=noise, settings=settings)


def _by_weights(config: ModelConfig, unet: Tensors, notes: list[str]) -> str:
    """What a model of the 2.x family seems to predict."""
    if config.unet.in_channels != 4:
        why, kind = "as Stable Diffusion 2's inpainting does", "eps"
    else:
        norm = re.compile(
            r"(?:middle_block|output_blocks\.(\d+))\.1\.transformer_blocks\.0\.norm1\.bias"
        )
        found = (match for name in unet if (match := norm.fullmatch(name)))
        last = max(found, key=lambda match: int(match[1] or -1))
        deviation = unet[last[0]].read(torch.float32).std().item()
        kind = "v" if deviation > V_DEVIATION else "eps"
        why = f"because {last[0]} varies by {deviation:.2f} (more than {V_DEVIATION} means v)"
    other = "eps" if kind == "v" else "v"
    notes.append(
        f"nothing says whether it predicts eps or v: {kind} was assumed, {why}. If pictures are "
        f"noise, load it with prediction='{other}'"
    )
    return kind


def _refuse_impossible(kind: str, ztsnr: bool, what: str) -> None:
    if ztsnr and kind == "eps":
        raise CheckpointError(
            f"{what}: zero terminal SNR and eps cannot go together, since pure noise says nothing "
            "of the picture. Load it with prediction='v_ztsnr' if it predicts v, which such models "
            "do, or with 'eps' for the ordinary schedule"
        )
