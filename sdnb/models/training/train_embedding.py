"""An embedding from a few pictures: a new word, of some vectors, for what they show.

The whole model stays. The text encoder reads the vectors in the place of the word's tokens, and
only these learn (textual inversion, Gal et al. 2022, https://arxiv.org/abs/2208.01618).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sdnb.engine.checkpoint.embeddings import Embedding
from sdnb.request.prompt import Fragment

from . import copies
from .copies import Picture
from .course import Course, told
from .noising import Noising

if TYPE_CHECKING:
    from sdnb.engine.model import Model


def train_embedding(
    model: Model,
    pictures: Sequence[Picture],
    captions: Sequence[str],
    path: str | Path,
    *,
    size: int | None = None,
    init: str = "thing",
    vectors: int = 2,
    steps: int = 200,
    batch: int = 4,
    rate: float = 5e-3,
    seed: int = 0,
    resume: bool = False,
) -> Path:
    """Train an embedding and write it to `path`, whose name without its ending is the new word. It
    computes where the model does.

    Each caption names the word: "a blorp on a table" for "blorp.safetensors". The vectors begin as
    those of the words of `init`, over and over. `pictures`, `size`, `batch` and `resume` are those
    of `train_lora`.

    Raises ValueError as it, for a caption without the word, and for an `init` without a token.
    """
    path, device = Path(path), model.device
    copies.check(model, pictures, captions)
    encoder = copies.encoder(model)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        latents = copies.latents(model, pictures, size)
        unet = copies.unet(model)
        learnt = nn.Parameter(_first(model, encoder, init, vectors))
        ids, places = _placed(model, captions, path.stem, vectors)
        about = told(model, pictures, steps=steps, batch=batch, rate=rate, seed=seed)
        which = {**about, "init": f"{vectors} x {init}", "captions": copies.digest(captions)}
        course = Course(
            path, [learnt], device, steps=steps, rate=rate, about=which, resume=resume
        )  # fmt: skip
        noising = Noising(model.config.noise, device)
        predict = noising.of_noise(unet, model.config.noise.prediction)

        def backward() -> None:
            at = torch.randint(len(latents), (batch,))
            here = [(n, places[row], learnt) for n, row in enumerate(at.tolist())]
            with copies.half_on(device):
                context = encoder(ids[at], here)
                loss = noising.loss(predict, latents[at], context)
            loss.backward()

        course.run(backward)
    _write(path, learnt, {f"ss_{name}": value for name, value in about.items()})
    return path


def _first(model: Model, encoder: nn.Module, init: str, vectors: int) -> Tensor:
    """The vectors to begin from, `[vectors, width]`."""
    chunk = model.tokenizer(init)
    its = chunk.ids[1 : 1 + chunk.count]
    if not its or vectors < 1:
        raise ValueError(
            f"init={init!r} and vectors={vectors}: a word or several are expected, and at least "
            "one vector"
        )
    table = encoder.embeddings.token_embedding.weight
    return table[[its[n % len(its)] for n in range(vectors)]].detach().clone()


def _placed(
    model: Model, captions: Sequence[str], word: str, vectors: int
) -> tuple[Tensor, list[int]]:
    """The ids `[n, 77]` of the captions, and where in each the vectors stand."""
    width = model.config.text.width
    known = {word: Embedding(word, torch.zeros(vectors, width), "")}
    rows, places = [], []
    for caption in captions:
        first, *_ = model.tokenizer.chunks(
            [Fragment(caption, 1.0, 0, len(caption))], "a1111", known
        )
        if len(first.embeddings) != 1:
            raise ValueError(
                f"the caption {caption!r} has the word {word!r} {len(first.embeddings)} times in "
                "its first 75 tokens; once is expected, since the vectors stand there"
            )
        rows.append(first.ids)
        places.append(first.embeddings[0][0])
    return torch.tensor(rows, device=model.device), places


def _write(path: Path, learnt: Tensor, about: dict[str, str]) -> None:
    """Write the file in kohya's names; what was there is replaced at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    save_file({"emb_params": learnt.detach().cpu().contiguous()}, aside, about)
    aside.replace(path)
