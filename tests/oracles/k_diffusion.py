"""k-diffusion's samplers, without what its package imports besides (wandb, clean-fid, kornia ...).

    pip install --no-deps "k-diffusion==0.1.1.post1"      # and scipy, for its LMS

Only `k_diffusion.sampling`, `external` and `utils` are executed. What they import for image files,
SDE noise and likelihoods is replaced by empty stand-ins, for the time of the import alone: the
noise is injected in the tests, and nothing else of those is called.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types

STAND_INS = {
    "torchdiffeq": ("odeint",),
    "torchsde": ("BrownianTree",),
    "torchvision": (),
    "torchvision.transforms": ("functional",),
}


def _load():
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None:
        raise ImportError('the tests need: pip install --no-deps "k-diffusion==0.1.1.post1"')
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(spec.submodule_search_locations)
    stand_ins = {"k_diffusion": package}
    for name, attributes in STAND_INS.items():
        stand_ins[name] = types.ModuleType(name)
        vars(stand_ins[name]).update(dict.fromkeys(attributes))
    before = {name: sys.modules[name] for name in stand_ins if name in sys.modules}
    sys.modules.update(stand_ins)
    try:
        return tuple(importlib.import_module(f"k_diffusion.{n}") for n in ("sampling", "external"))
    finally:  # whoever imports torchvision later gets the real one, or its honest absence
        for name in stand_ins:
            del sys.modules[name]
        sys.modules.update(before)


sampling, _external = _load()
DiscreteSchedule = _external.DiscreteSchedule
