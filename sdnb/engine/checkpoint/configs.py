"""Reads a model's YAML or diffusers' `config.json` as overrides of `ModelConfig`'s fields.

Every key is checked here, so that all other modules see frozen dataclasses. Three layouts are read:
our own (the dataclasses' fields), CompVis' `v1-inference.yaml`, and the `config.json` files of a
diffusers folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_type_hints

from sdnb.engine.checkpoint.compvis import Values, from_compvis
from sdnb.engine.networks.config import ModelConfig
from sdnb.headers.errors import CheckpointError, MissingCheckpointError, listed
from sdnb.request import Settings, checks, documents

Overrides = dict[str, Values]

SECTIONS: dict[str, type] = get_type_hints(ModelConfig)  # {"unet": UNetConfig, ...}
# A field's annotation -> the types of its value or items, and what an error calls it.
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "bool": ((bool,), "true or false"),
    "float": ((int, float), "a number"),
    "float | None": ((int, float), "a number, or nothing"),
    "str": ((str,), "a word"),
    "tuple[int, ...]": ((int,), "a list of whole numbers"),
    "tuple[float, ...]": ((int, float), "a list of numbers"),
    "tuple[str, ...]": ((str,), "a list of texts"),
}
# No field of a model of this family is beyond these: four levels, two blocks in each, 77 positions,
# twelve layers. What is larger would be built before it is compared with the weights.
MOST_LEVELS = 16
MOST = {"steps": 100_000, "blocks": 32, "layers": 64, "positions": 1024, "depth": 64}
_MOST = 2**20  # of any other number
PREDICTIONS = {"eps": "eps", "epsilon": "eps", "v": "v", "v_prediction": "v", "v_pred": "v"}


def merged(*layers: Overrides) -> Overrides:
    """All layers as one; a later layer wins, field by field."""
    out: Overrides = {}
    for layer in layers:
        for section, values in layer.items():
            out[section] = {**out.get(section, {}), **values}
    return out


def read_config(source: str | Path | ModelConfig | Mapping[str, Any]) -> Overrides:
    """`config=` as the user gives it: a YAML's path, a ModelConfig, or a mapping like a YAML.

    Raises CheckpointError for a file that cannot be read, and for an unknown key.
    """
    if isinstance(source, ModelConfig):
        return asdict(source)
    if isinstance(source, Mapping):
        return _overrides(source, "config")
    try:
        path = Path(source).expanduser()
        text = documents.file_text(path, documents.YAML_LIMIT)
    except FileNotFoundError:
        raise MissingCheckpointError(
            f"config={str(source)!r}: there is no such file; give the path of a YAML"
        ) from None
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"config={checks.shown(source)} cannot be read: {reason}; give the path of a YAML"
        ) from None
    return _overrides(_of_yaml(text, path), str(path))


def _of_yaml(text: str, path: Path) -> dict[str, Any]:
    try:
        loaded = documents.from_yaml(text) or {}
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read as YAML: {error}") from None
    if not isinstance(loaded, dict):
        raise CheckpointError(
            f"{path} holds no keys; expected {', '.join(SECTIONS)}, or CompVis' `model`"
        )
    return {str(key): value for key, value in loaded.items()}


def _overrides(tree: Mapping[str, Any], where: str) -> Overrides:
    if "model" in tree or "modelUNet" in tree:
        return checked(from_compvis(tree, where), where)
    for name, values in tree.items():
        if name not in SECTIONS:
            raise CheckpointError(
                f"{where}: unknown key {checks.shown(name)}; {checks.known(str(name), SECTIONS)}"
            )
        if not isinstance(values, Mapping):
            raise CheckpointError(
                f"{where}: {name} is {checks.shown(values)}; expected fields, as `{name}: {{...}}`"
            )
    return checked(tree, where)


def checked(overrides: Mapping[str, Values], where: str) -> Overrides:
    """Check every key and the type of every value; lists become tuples."""
    out: Overrides = {}
    for section, values in overrides.items():
        known = {field.name: field for field in fields(SECTIONS[section])}
        out[section] = {}
        for name, value in values.items():
            if name not in known:
                shown = checks.bare(str(name))
                raise CheckpointError(
                    f"{where}: unknown key {section}.{shown}; {checks.known(shown, known)}"
                )
            out[section][name] = _value(str(known[name].type), value, f"{where}: {section}.{name}")
    noise = out.get("noise", {})
    if "prediction" in noise:
        prediction = noise["prediction"]
        if prediction not in PREDICTIONS:
            raise CheckpointError(
                f"{where}: noise.prediction is {checks.shown(prediction)}; expected eps or v"
            )
        noise["prediction"] = PREDICTIONS[prediction]
    try:
        Settings(**out.get("settings", {}))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: settings: {error}") from None
    return out


def _value(kind: str, value: Any, where: str) -> Any:
    """`value` as a field of the type `kind` (a dataclass annotation's text)."""
    if value is None and kind.endswith("| None"):
        return None
    types, expected = _TYPES[kind]
    single = not kind.startswith("tuple")
    items = [value] if single else value
    right = isinstance(items, (list, tuple)) and all(type(item) in types for item in items)
    if not right or (not items and str not in types):  # a list of texts may be empty
        raise CheckpointError(f"{where} is {checks.shown(value)}; expected {expected}")
    most = MOST.get(where.rpartition(".")[2], _MOST)
    if str not in types and not all(abs(item) <= most for item in items[:MOST_LEVELS]):
        raise CheckpointError(f"{where} is {checks.shown(value)}; expected {most:,} at most")
    if str not in types and len(items) > MOST_LEVELS:
        raise CheckpointError(f"{where} has {len(items):,} items; expected {MOST_LEVELS} at most")
    if str in types:
        try:
            items = [checks.text(where, item) for item in items]
        except ValueError as error:
            raise CheckpointError(str(error)) from None
    values = tuple(float(item) if float in types else item for item in items)
    return values[0] if single else values


# -- diffusers' config.json --------------------------------------------------------------------
# The values that sdnb's networks are built for: another value means another architecture.
FIXED: dict[str, Values] = {
    "unet": {
        "act_fn": "silu", "addition_embed_type": None, "center_input_sample": False,
        "class_embed_type": None, "conv_in_kernel": 3, "conv_out_kernel": 3,
        "downsample_padding": 1, "dual_cross_attention": False, "encoder_hid_dim": None,
        "flip_sin_to_cos": True, "freq_shift": 0, "mid_block_scale_factor": 1, "norm_eps": 1e-5,
        "num_class_embeds": None, "only_cross_attention": False,
        "resnet_time_scale_shift": "default", "time_embedding_type": "positional",
        "transformer_layers_per_block": 1,
    },
    "vae": {
        "act_fn": "silu", "latents_mean": None, "latents_std": None,
        "mid_block_add_attention": True, "shift_factor": None, "use_post_quant_conv": True,
        "use_quant_conv": True, "in_channels": 3, "out_channels": 3,
    },
    "tiny_vae": {
        "act_fn": "relu", "num_decoder_blocks": [3, 3, 3, 1],
        "num_encoder_blocks": [1, 3, 3, 3], "scaling_factor": 1, "shift_factor": 0,
        "upsample_fn": "nearest", "upsampling_scaling_factor": 2,
    },
    "text": {"layer_norm_eps": 1e-5},
    "noise": {
        "beta_schedule": "scaled_linear", "trained_betas": None,
    },
}  # fmt: skip
_RENAMED: dict[str, dict[str, str]] = {  # our field -> diffusers'
    "unet": {"groups": "norm_num_groups"},
    "vae": {"groups": "norm_num_groups", "scale": "scaling_factor"},
    "text": {"heads": "num_attention_heads", "activation": "hidden_act"},
    "noise": {
        "steps": "num_train_timesteps", "beta_start": "beta_start", "beta_end": "beta_end",
        "prediction": "prediction_type", "ztsnr": "rescale_betas_zero_snr",
    },
}  # fmt: skip


def from_diffusers(section: str, config: Values, where: str) -> Overrides:
    """The fields in one of diffusers' JSON files that the weights' shapes do not show.

    Raises CheckpointError when it describes another architecture than SD 1.x and 2.x have.
    """
    if section == "unet" and config.get("time_cond_proj_dim") is not None:
        raise CheckpointError(
            f"{where}: time_cond_proj_dim is {config['time_cond_proj_dim']!r}: a latent "
            "consistency model that takes the guidance as an input, which sdnb's UNet does not. "
            "Take an ordinary Stable Diffusion 1.x checkpoint and an LCM-LoRA, which brings "
            "sampler='lcm' and cfg=1"
        )
    tiny = section == "vae" and config.get("_class_name") == "AutoencoderTiny"
    wrong = [
        f"{name} is {config[name]!r}, not {expected!r}"
        for name, expected in FIXED["tiny_vae" if tiny else section].items()
        if name in config and config[name] != expected
    ]
    if wrong:
        raise CheckpointError(f"{where} describes no Stable Diffusion 1.x or 2.x: {listed(wrong)}")
    known = {} if tiny else _RENAMED[section]
    values = {name: config[key] for name, key in known.items() if config.get(key)}
    if section == "unet":
        values |= _heads(config, where)
    overrides = {section: values}
    size = config.get("sample_size")
    if section == "unet" and isinstance(size, int):  # in latent pixels, 8 of the picture's
        overrides["settings"] = {"width": size * 8, "height": size * 8}
    return checked(overrides, where)


def _heads(config: Values, where: str) -> Values:
    """The number of heads, or their width if that is what all levels share."""
    # The configs of SD 1.x and 2.x call the number `attention_head_dim`.
    heads = config.get("num_attention_heads") or config.get("attention_head_dim", 8)
    if not isinstance(heads, list):
        return {"heads": heads}
    if len(set(heads)) == 1:
        return {"heads": heads[0]}
    channels = config.get("block_out_channels", [])
    if len(channels) == len(heads):
        widths = {c / h for c, h in zip(channels, heads, strict=True)}
        if len(widths) == 1 and channels[0] % heads[0] == 0:
            return {"head_width": channels[0] // heads[0]}
    raise CheckpointError(
        f"{where}: the heads differ by level ({heads}), and their widths too; in Stable Diffusion "
        "one of them is the same everywhere"
    )
