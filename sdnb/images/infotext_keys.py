"""The keys of an infotext, by what they say of a request."""

from __future__ import annotations

# Keys that need no note: they say nothing about the request, or are read in another way.
SILENT = {"Model", "Model hash", "Version", "RNG", "User", "Hashes", "Lora hashes", "TI hashes"}
NUMBERS: tuple[tuple[str, str, type[int | float]], ...] = (
    ("Steps", "steps", int),
    ("CFG scale", "cfg", float),
    ("CFG Rescale phi", "cfg_rescale", float),
    ("CFG start", "cfg_start", float),
    ("CFG end", "cfg_end", float),
    ("CFG every", "cfg_every", int),
    ("Deep every", "deep_every", int),
    ("Token merging ratio", "token_merging", float),
    ("Seed", "seed", int),
    ("Denoising strength", "strength", float),
    ("Eta DDIM", "eta", float),
    ("Eta", "eta", float),
    ("Masked area padding", "padding", int),
    ("Clip skip", "clip_skip", int),
)
# Values of a mask that are those of a Request too, so that nothing is left out with them.
USUAL = {"Inpaint area": "Whole picture", "Mask mode": "Inpaint masked", "Mask blur": "0"}
# Other programs write some keys in other cases.
KEYS = {
    key.lower(): key
    for key in (
        *SILENT,
        *(row[0] for row in NUMBERS),
        "Sampler",
        "Schedule type",
        "Size",
        "Resize mode",
        "Emphasis",
        "Prompt syntax",
    )
}
KEYS |= {"scheduler": "Schedule type", "cfg": "CFG scale", "denoise": "Denoising strength"}
KEYS |= {"guidance scale": "CFG scale", "cfg rescale": "CFG Rescale phi"}
