"""The architecture of a Stable Diffusion model, 1.x or 2.x, as frozen data; imports no torch.

A checkpoint's shapes give most fields (`checkpoint.detect`). Those that shapes cannot show (norm
groups, prediction) keep SD 1.x's values unless a YAML or a diffusers `config.json` says otherwise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from sdnb.request import Settings


@dataclass(frozen=True)
class UNetConfig:
    """The denoiser. Defaults are SD 1.4's (CompVis `v1-inference.yaml`).

    Files of SD 2 hold the projections around its transformers as linear layers, those of SD 1 as
    1x1 convolutions. Over pixels they are one product, so there is no field for that.
    """

    in_channels: int = 4  # 9 in SD 1.5-inpainting: latent, mask, masked latent
    out_channels: int = 4
    channels: tuple[int, ...] = (320, 640, 1280, 1280)  # of each level, which halves the latent
    blocks: int = 2  # residual blocks a level on the way down; one more on the way up
    attention_levels: tuple[int, ...] = (0, 1, 2)
    # Transformer blocks in a row at each level, the last number also in the middle; one number
    # alone is that of all.
    depth: tuple[int, ...] = (1,)
    heads: int = 8  # heads in every attention, whatever its width
    head_width: int = 0  # channels of a head, in place of a count of heads; 0: `heads` counts
    context_dim: int = 768  # width of the text encoder's output
    # Width of the conditions that are added to the time, 0 where there are none. SDXL's are the
    # pooled text (1280) and six numbers of the picture's size and cut, as sinusoids 256 wide.
    added_dim: int = 0
    groups: int = 32  # of every group norm

    def depth_at(self, level: int) -> int:
        """Transformer blocks in a row at a level; -1 is the middle."""
        return self.depth[level] if len(self.depth) > 1 else self.depth[0]


@dataclass(frozen=True)
class VAEConfig:
    """The autoencoder: pixels [b, 3, h, w] to latents [b, 4, h/8, w/8] and back."""

    tiny: bool = False  # whether it is a `TinyVAE`, which has neither groups nor scale
    channels: tuple[int, ...] = (128, 256, 512, 512)
    blocks: int = 2
    latent_channels: int = 4
    groups: int = 32
    scale: float = 0.18215  # the UNet sees latent * scale, which has unit variance
    # Red, green and blue of each latent channel, -1..1, then the constant term: a least squares fit
    # of the decoder, for previews (https://discuss.huggingface.co/t/23204).
    preview: tuple[float, ...] = (
        0.298, 0.207, 0.208,
        0.187, 0.286, 0.173,
        -0.158, 0.189, 0.264,
        -0.184, -0.271, -0.473,
        0.0, 0.0, 0.0,
    )  # fmt: skip


#: TAESD, which has three blocks at each of four levels.
TINY_VAE = VAEConfig(tiny=True, channels=(64, 64, 64, 64), blocks=3, scale=1.0)


@dataclass(frozen=True)
class TextConfig:
    """CLIP's text transformer: ViT-L/14's in SD 1.x; in SD 2.x OpenCLIP's ViT-H/14, without the
    last of its 24 layers.
    """

    vocab: int = 49408
    width: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int = 3072
    positions: int = 77
    activation: str = "quick_gelu"
    padding: int = -1  # the token that fills up a text; -1: the one that ends it, 0 in OpenCLIP
    layer: int = 1  # whose output is the context: 1 the last, 2 the one before it (SDXL), ...
    normed: bool = True  # whether the last norm follows it; not in SDXL
    pooled: int = 0  # width of the text as a whole, for the UNet's added conditions; 0: not given


@dataclass(frozen=True)
class NoiseConfig:
    """The training process: 1000 steps, betas linear in their square roots ("scaled_linear")."""

    steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    prediction: str = "eps"  # or "v"
    ztsnr: bool = False  # zero terminal SNR: the last step has noise alone


@dataclass(frozen=True)
class Examples:
    """What a newcomer to the model may begin with."""

    prompts: tuple[str, ...] = ()  # the best first


@dataclass(frozen=True)
class ModelConfig:
    """One model: its networks, the settings that suit it, and examples."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    vae: VAEConfig = field(default_factory=VAEConfig)
    text: TextConfig = field(default_factory=TextConfig)
    # A second encoder, as SDXL has, whose context stands beside the first's; no layers: none.
    text_2: TextConfig = field(default_factory=lambda: TextConfig(layers=0))
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    settings: Settings = field(default_factory=Settings)
    examples: Examples = field(default_factory=Examples)

    @property
    def texts(self) -> tuple[TextConfig, ...]:
        """The text encoders; their contexts side by side are `unet.context_dim` wide."""
        return (self.text, self.text_2) if self.text_2.layers else (self.text,)

    def unusual(self) -> dict[str, object]:
        """The fields that change a picture and differ from SD 1.x's values, as "section.field"."""
        given, usual = asdict(self), asdict(ModelConfig())
        return {
            f"{section}.{name}": value
            for section in ("unet", "vae", "text", "text_2", "noise")  # that change a picture
            for name, value in given[section].items()
            if value != usual[section][name] and name != "preview"  # nor does a rough look
        }
