"""sdnb: low-memory Stable Diffusion in a notebook.

    import sdnb
    model = sdnb.load()                                # the built-in model; or a path, or a hub id
    sdnb.txt2img(model, "a red apple on a table", seed=7)

The public names below resolve when they are first used (PEP 562), so `import sdnb` is quick and
brings in no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sdnb.assets import __version__ as __version__

if TYPE_CHECKING:
    from sdnb.engine.loading import load
    from sdnb.engine.pipeline import decode, generate, run
    from sdnb.engine.verbs import img2img, inpaint, outpaint, txt2img, upscale
    from sdnb.grid.grid import Grid, sweep
    from sdnb.images import read
    from sdnb.images.result import Result
    from sdnb.library import Library
    from sdnb.library.styles import PromptStyle, Styles
    from sdnb.request import Request
    from sdnb.request.control import Control
    from sdnb.request.lora import Lora
    from sdnb.request.memory_plan import MemoryPlan
    from sdnb.request.prompt import every
    from sdnb.widgets.gallery.gallery import Gallery
    from sdnb.widgets.grid.grid_view import GridView
    from sdnb.widgets.masks.editor import MaskEditor
    from sdnb.widgets.panel import Panel
    from sdnb.widgets.sketch.sketch_panel import Sketch
    from sdnb.widgets.studio import studio
    from sdnb.widgets.upscale import UpscalePanel

# Where each public name lives.
_HOMES = {
    "Control": "sdnb.request.control",
    "Gallery": "sdnb.widgets.gallery.gallery",
    "Grid": "sdnb.grid.grid",
    "GridView": "sdnb.widgets.grid.grid_view",
    "Library": "sdnb.library",
    "Lora": "sdnb.request.lora",
    "MaskEditor": "sdnb.widgets.masks.editor",
    "Panel": "sdnb.widgets.panel",
    "PromptStyle": "sdnb.library.styles",
    "Request": "sdnb.request",
    "Result": "sdnb.images.result",
    "Sketch": "sdnb.widgets.sketch.sketch_panel",
    "Styles": "sdnb.library.styles",
    "UpscalePanel": "sdnb.widgets.upscale",
    "MemoryPlan": "sdnb.request.memory_plan",
    "decode": "sdnb.engine.pipeline",
    "every": "sdnb.request.prompt",
    "generate": "sdnb.engine.pipeline",
    "img2img": "sdnb.engine.verbs",
    "inpaint": "sdnb.engine.verbs",
    "load": "sdnb.engine.loading",
    "outpaint": "sdnb.engine.verbs",
    "read": "sdnb.images",
    "run": "sdnb.engine.pipeline",
    "studio": "sdnb.widgets.studio",
    "sweep": "sdnb.grid.grid",
    "txt2img": "sdnb.engine.verbs",
    "upscale": "sdnb.engine.verbs",
}
# And where each public module is.
_MODULES = {
    "diffusion": "sdnb.engine.diffusion",
    "hints": "sdnb.hints",
    "images": "sdnb.images",
    "prompt": "sdnb.request.prompt",
    "request": "sdnb.request",
}

__all__ = [
    "Control",
    "Gallery",
    "Grid",
    "GridView",
    "Library",
    "Lora",
    "MaskEditor",
    "MemoryPlan",
    "Panel",
    "PromptStyle",
    "Request",
    "Result",
    "Sketch",
    "Styles",
    "UpscalePanel",
    "decode",
    "every",
    "generate",
    "img2img",
    "inpaint",
    "load",
    "outpaint",
    "read",
    "run",
    "studio",
    "sweep",
    "txt2img",
    "upscale",
]


def __getattr__(name: str) -> Any:
    """Import a public name, or a public module, the first time it is asked for."""
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _HOMES:
        known = ", ".join(sorted((*_HOMES, *_MODULES)))
        raise AttributeError(f"module 'sdnb' has no attribute {name!r}; it has {known}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
