"""Reads the model's description in CompVis' `v1-inference.yaml`, and refuses unknown keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sdnb.headers.errors import CheckpointError
from sdnb.request import checks

Values = dict[str, Any]
_MOST_LEVELS = 64  # of a network; Stable Diffusion 1.x has four

# A key of the YAML -> our field. None: a known key that changes neither weights nor sampling.
_MODEL = {
    "linear_start": "beta_start", "linear_end": "beta_end", "timesteps": "steps",
    "parameterization": "prediction",
    **dict.fromkeys((
        "beta_schedule", "channels", "ckpt_path", "concat_keys", "cond_stage_config",
        "cond_stage_key", "cond_stage_trainable", "conditioning_key", "finetune_keys",
        "first_stage_config", "first_stage_key", "image_size", "load_ema", "log_every_t",
        "loss_type", "masked_image_key", "monitor", "num_timesteps_cond", "personalization_config",
        "scale_factor", "scheduler_config", "unet_config", "unet_trainable", "use_ema",
    )),
}  # fmt: skip
_UNET = {
    "in_channels": "in_channels", "out_channels": "out_channels", "num_res_blocks": "blocks",
    "num_heads": "heads", "num_head_channels": "head_width", "context_dim": "context_dim",
    **dict.fromkeys((
        "attention_resolutions", "channel_mult", "conv_resample", "dims", "dropout", "image_size",
        "legacy", "model_channels", "transformer_depth", "use_checkpoint", "use_fp16",
        "use_linear_in_transformer", "use_spatial_transformer",
    )),
}  # fmt: skip
_DDCONFIG = {
    "z_channels": "latent_channels", "num_res_blocks": "blocks",
    **dict.fromkeys((
        "attn_resolutions", "attn_type", "ch", "ch_mult", "double_z", "dropout", "in_channels",
        "out_ch", "resolution",
    )),
}  # fmt: skip


def from_compvis(tree: Mapping[str, Any], where: str) -> dict[str, Values]:
    """Overrides of the sections unet, vae, noise and settings.

    Raises CheckpointError for an unknown key, or for a model of another family.
    """
    if "modelUNet" in tree:
        tree = _joined(tree, where)
    _known(tree, ("model", "data", "lightning"), where)  # the last two are for training
    model = _mapping(tree["model"], where, "model")
    _known(model, ("base_learning_rate", "target", "params"), f"{where}: model")
    params = _mapping(model.get("params"), where, "model.params")
    out = {"noise": _renamed(params, _MODEL, f"{where}: model.params")}
    if params.get("beta_schedule", "linear") != "linear":  # in the roots of the betas
        raise CheckpointError(
            f"{where}: beta_schedule is {checks.shown(params['beta_schedule'])}; Stable "
            "Diffusion has 'linear'"
        )
    if "unet_config" in params:
        out["unet"] = _unet(_params(params, "unet_config", where), f"{where}: unet_config.params")
        if "head_width" in out["unet"]:  # of SD 2.x, where what is not said is not known
            out["noise"].setdefault("prediction", "eps")
    if "first_stage_config" in params:
        stage = _params(params, "first_stage_config", where)
        details = _mapping(stage.get("ddconfig", {}), where, "first_stage_config.params.ddconfig")
        out["vae"] = _renamed(details, _DDCONFIG, f"{where}: ddconfig")
        if "ch" in details and "ch_mult" in details:
            out["vae"]["channels"] = _channels(details, "ch", "ch_mult", f"{where}: ddconfig")
    if "scale_factor" in params:
        out.setdefault("vae", {})["scale"] = params["scale_factor"]
    # The YAML of SD 2.x' v model, made for 768x768, still says 512x512.
    if isinstance(params.get("image_size"), int) and params.get("parameterization") != "v":
        out["settings"] = {"width": params["image_size"] * 8, "height": params["image_size"] * 8}
    return out


def _joined(tree: Mapping[str, Any], where: str) -> Values:
    """The layout of the low-memory forks, with three models and half UNets, as CompVis'."""
    _known(tree, ("modelUNet", "modelFirstStage", "modelCondStage"), where)
    params = dict(_params(tree, "modelUNet", where))
    params.pop("unetConfigDecode", None)  # repeats the other half
    if "unetConfigEncode" in params:
        params["unet_config"] = params.pop("unetConfigEncode")
    if "modelFirstStage" in tree:
        stage = _params(tree, "modelFirstStage", where)
        params["first_stage_config"] = stage.get("first_stage_config", {})
    return {"model": {"params": params}}


def _unet(params: Mapping[str, Any], where: str) -> Values:
    for name in ("adm_in_channels", "num_classes"):
        if name in params:
            raise CheckpointError(
                f"{where}: {name} is of Stable Diffusion XL, an unCLIP model or an upscaler; sdnb "
                "runs 1.x and 2.x"
            )
    if params.get("transformer_depth", 1) != 1:
        raise CheckpointError(
            f"{where}: the transformers are not those of Stable Diffusion 1.x and 2.x"
        )
    values = _renamed(params, _UNET, where)
    if "model_channels" in params and "channel_mult" in params:
        values["channels"] = _channels(params, "model_channels", "channel_mult", where)
        if "attention_resolutions" in params:  # downsampling factors: 1, 2, 4
            factors = _whole_numbers(
                params["attention_resolutions"], where, "attention_resolutions"
            )
            levels = range(len(params["channel_mult"]))
            values["attention_levels"] = [level for level in levels if 2**level in factors]
    return values


def _channels(params: Mapping[str, Any], base: str, times: str, where: str) -> list[int]:
    """The channels of each level: so many times the base's."""
    (first,) = _whole_numbers([params[base]], where, base)
    return [first * each for each in _whole_numbers(params[times], where, times)]


def _whole_numbers(values: Any, where: str, key: str) -> list[int]:
    """A short list of small whole numbers, one a level of a network."""
    short = isinstance(values, list) and len(values) <= _MOST_LEVELS
    if short and all(type(value) is int and 0 <= value < 2**20 for value in values):
        return list(values)
    raise CheckpointError(
        f"{where}: {key} is {checks.shown(values)}; expected whole numbers, as in v1-inference.yaml"
    )


def _renamed(params: Mapping[str, Any], names: Mapping[str, str | None], where: str) -> Values:
    _known(params, names, where)
    return {ours: params[name] for name, ours in names.items() if ours and name in params}


def _known(params: Mapping[str, Any], names: Collection[str], where: str) -> None:
    for key in params:
        if key not in names:
            shown = checks.shown(key)
            raise CheckpointError(f"{where}: unknown key {shown}{checks.nearest(str(key), names)}")


def _params(params: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    stage = _mapping(params[name], where, name)
    return _mapping(stage.get("params", {}), where, f"{name}.params")


def _mapping(tree: Any, where: str, key: str) -> Mapping[str, Any]:
    if not isinstance(tree, Mapping):
        raise CheckpointError(
            f"{where}: {key} is {checks.shown(tree)}; expected keys, as in v1-inference.yaml"
        )
    return tree
