"""What other programs call the fields of a `Request`: for the hint of an error alone.

The programs are diffusers, AUTOMATIC1111's web UI, ComfyUI and the original scripts. Names are in
small letters and digits, as `checks.known` compares them.
"""

from __future__ import annotations

FIELD_OF = {
    "text": "prompt", "positive": "prompt", "positiveprompt": "prompt",
    "negativeprompt": "negative", "nprompt": "negative", "uncond": "negative",
    "w": "width", "h": "height",
    "numinferencesteps": "steps", "ddimsteps": "steps", "samplingsteps": "steps", "nsteps": "steps",
    "guidancescale": "cfg", "cfgscale": "cfg", "scale": "cfg", "guidance": "cfg",
    "guidancerescale": "cfg_rescale", "cfgrescalemultiplier": "cfg_rescale",
    "cfgrescale": "cfg_rescale", "rescalecfg": "cfg_rescale",
    "guidancestart": "cfg_start", "guidanceend": "cfg_end", "skipearlycfg": "cfg_start",
    "samplername": "sampler", "samplerindex": "sampler", "ddimeta": "eta",
    "generator": "seed", "noiseseed": "seed",
    "nsamples": "count", "numimages": "count", "numimagesperprompt": "count", "batchsize": "count",
    "initimg": "image", "initimage": "image", "initimages": "image",
    "denoisingstrength": "strength", "denoise": "strength",
    "maskimage": "mask", "maskblur": "feather", "inpaintingmaskinvert": "invert",
    "resizemode": "fit", "resize": "fit", "objectfit": "fit",
}  # fmt: skip
