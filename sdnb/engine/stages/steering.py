"""Control networks over a run: which of them work at a call, and what they give the UNet.

What does not change from step to step is computed once: hints and an adapter's maps in a run, keys
and values of the texts and what the times add when the weights are in place. The rules are those of
AUTOMATIC1111's ControlNet extension (Mikubill/sd-webui-controlnet).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor

from sdnb.engine import pixels
from sdnb.engine.model import Model
from sdnb.engine.networks.controlnet import ControlNet
from sdnb.engine.stages.contexts import of_words, same_length
from sdnb.engine.stages.control_nets import ChosenNets
from sdnb.engine.stages.one_pass import ControlPass, NetInPass
from sdnb.request import Resolved, checks
from sdnb.request.choices import step_of
from sdnb.request.control import working

#: "My prompt is more important": how much less each map counts than the one after it, and what the
#: maps of an adapter count.
_SOFTER = 0.825
_SOFT_ADAPTER = (0.25, 0.62, 0.825, 1.0)


@dataclass
class _Prepared:
    """What one network needs in a pass, in the numbers that it computes in."""

    hint: Tensor  # [1, c, h/8, w/8]
    weights: Tensor  # one for each map
    keys: list[list[Tensor]]  # for each set of contexts: of each of its groups, layer by layer
    rows: dict[float, Tensor]  # by time


class Steering:
    """The control networks of one run; `steps` is how many steps it has.

    `encode_adapters` and `open` prepare them where their weights are in place. Then `at` says which
    ones work at a call, `rows` and `constants` are the tensors that these need, in the order in
    which `ControlPass.taken` takes them, and `in_pass` is what a recorded step holds of them.
    """

    def __init__(self, model: Model, chosen: ChosenNets, request: Resolved, steps: int) -> None:
        self.model, self.used, self.steps = model, chosen.used, steps
        self._place = request.width, request.height, chosen.part
        self._sampler = request.sampler
        self._nets: dict[int, _Prepared] = {}
        self._encoded: dict[tuple[int, torch.dtype], list[Tensor]] = {}
        self._dtype = model.dtype
        self._controls = [used.control for used in self.used]
        #: The different answers of `at` over the run.
        self.sets = {working(self._controls, step, steps) for step in range(steps)}

    def at(self, call: int) -> tuple[int, ...]:
        """The numbers of the controls that work at a call of the denoiser."""
        return working(self._controls, step_of(self._sampler, call), self.steps)

    def key(self, active: Sequence[int]) -> tuple[object, ...]:
        """By what a recorded pass with these networks is known."""
        used = [self.used[i] for i in active]
        return tuple((each.key, each.prompt_only, each.file.averaged) for each in used)

    def idle(self) -> list[str]:
        """Words for controls whose share of the steps holds none."""
        return [
            f"The control network {checks.shown(c.net)} worked at no step: they are 0, "
            f"1/{self.steps}, 2/{self.steps} and so on of the run, and none is between "
            f"{c.start:g} and {c.end:g}."
            for i, c in enumerate(self._controls)
            if c.scale and self.steps and not self._works(i)
        ]

    def _works(self, i: int) -> bool:
        """Whether a control works at any step."""
        return any(i in active for active in self.sets)

    # -- once a run ----------------------------------------------------------------------------
    def encode_adapters(self, dtype: torch.dtype | None) -> None:
        """Have the maps of adapters, before the UNet needs its memory."""
        model = self.model
        for i, used in enumerate(self.used):
            if self._works(i) and not isinstance(used.module(model), ControlNet):
                with model.weights.use(used.key, dtype) as device:
                    self._encode(i, device, dtype or model.dtype)

    def open(
        self,
        stack: ExitStack,
        dtype: torch.dtype | None,
        sets: Sequence[Sequence[Tensor]],
        times: Sequence[float],
        *,
        together: bool,
    ) -> None:
        """Bring the networks to where they compute until `stack` ends, and prepare them for the
        contexts `sets` (as `Contexts.sets`) and times of a run.
        """
        model, self._nets = self.model, {}
        self._dtype = numbers = dtype or model.dtype
        for i, used in enumerate(self.used):
            if not self._works(i) or not isinstance(used.module(model), ControlNet):
                continue
            device = stack.enter_context(model.weights.use(used.key, dtype))
            self._encode(i, device, numbers)
            keys = [self._keys(i, contexts, numbers, together=together) for contexts in sets]
            probe = torch.empty(0, dtype=numbers, device=device)
            net = used.module(model)
            table = net.time_rows(times, probe) if times else []
            rows = dict(zip(times, table, strict=True))
            weights = torch.tensor(self._scales(i, len(net.skips) + 1), device=device).to(numbers)
            (hint,) = self._encoded[i, numbers]
            self._nets[i] = _Prepared(hint, weights, keys, rows)

    def _encode(self, i: int, device: torch.device, dtype: torch.dtype) -> None:
        """The hint of a control network, or the maps of an adapter, once a run."""
        if (i, dtype) in self._encoded:
            return
        module = self.used[i].module(self.model)
        own = next(module.parameters()).dtype  # an adapter may compute on the CPU, in float32
        hint = self._hint(i).to(device, own).contiguous(memory_format=torch.channels_last)
        maps = [module.encode_hint(hint)] if isinstance(module, ControlNet) else module(hint)
        self._encoded[i, dtype] = [each.to(self.model.device, dtype) for each in maps]

    def _hint(self, i: int) -> Tensor:
        """`[1, 3, h, w]` in 0..1; -1 where the mask of an inpainting network is white."""
        control = self.used[i].control
        hint = pixels.hint_tensor(control.hint_at(*self._place))
        mask = control.mask_at(*self._place)
        return hint if mask is None else hint.masked_fill(pixels.mask_tensor(mask) > 0.5, -1.0)

    def _keys(
        self, i: int, contexts: Sequence[Tensor], dtype: torch.dtype, *, together: bool
    ) -> list[Tensor]:
        """Keys and values of the texts that the network reads, group by group."""
        moved = [context.to(self.model.device, dtype) for context in contexts]
        moved = same_length(moved) if together else moved
        if self.used[i].prompt_only and len(moved) > 1:
            moved = moved[1:]
        groups = [torch.cat(moved)] if together else moved
        net = self.used[i].module(self.model)
        return [t for group in groups for pair in net.prepare(group) for t in pair]

    def _scales(self, i: int, count: int) -> list[float]:
        """How much each of so many maps counts, of a network in order, the middle's last."""
        control = self.used[i].control
        if control.mode != "prompt":
            return [control.scale] * count
        if not isinstance(self.used[i].module(self.model), ControlNet):
            soft: Sequence[float] = _SOFT_ADAPTER[-count:]
        else:
            soft = [_SOFTER ** (count - 1 - n) for n in range(count)]
        return [control.scale * each for each in soft]

    # -- at each step --------------------------------------------------------------------------
    def rows(self, active: Sequence[int], t: float) -> list[Tensor]:
        """What a time adds in the networks that work."""
        found = []
        for i in active:
            if i not in self._nets:
                continue
            known = self._nets[i].rows
            if t not in known:
                probe = self._nets[i].weights[:0]
                known[t] = self.used[i].module(self.model).time_rows([t], probe)[0]
            found.append(known[t])
        return found

    def constants(
        self, active: Sequence[int], index: int, *, words_alone: bool = False, together: bool
    ) -> list[Tensor]:
        """What the networks that work need at every step with the contexts of a set; of its two
        texts the second's where the words are read alone.
        """
        tensors: list[Tensor] = []
        for i in active:
            if i not in self._nets:
                continue
            net, keys = self._nets[i], self._nets[i].keys[index]
            if words_alone and not self.used[i].prompt_only:
                keys = of_words(keys, together=together)
            tensors += [net.hint, net.weights, *keys]
        for prompt_only in (False, True):
            tensors += self._maps(active, prompt_only=prompt_only)
        return tensors

    def _maps(self, active: Sequence[int], *, prompt_only: bool) -> list[Tensor]:
        """The sum of the adapters' maps, for all texts or for all but the first."""
        total: list[Tensor] = []
        for i in self._adapters(active, prompt_only=prompt_only):
            maps = self._encoded[i, self._dtype]
            scaled = [m * s for m, s in zip(maps, self._scales(i, len(maps)), strict=True)]
            total = [a + b for a, b in zip(total, scaled, strict=True)] if total else scaled
        return total

    def _adapters(self, active: Sequence[int], *, prompt_only: bool) -> list[int]:
        used = [(i, self.used[i]) for i in active if i not in self._nets]
        return [i for i, each in used if each.prompt_only == prompt_only]

    def in_pass(
        self, active: Sequence[int], texts: int, *, beside: bool = False
    ) -> ControlPass | None:
        """What a pass holds of the networks that work; None where none does."""
        if not active:
            return None
        nets = tuple(
            NetInPass(u.module(self.model), u.prompt_only and texts > 1, u.file.averaged)
            for i in active
            if i in self._nets
            for u in [self.used[i]]
        )
        everywhere, prompts = (
            bool(self._adapters(active, prompt_only=which)) for which in (False, True)
        )
        unet = self.model.config.unet
        return ControlPass(nets, everywhere, prompts, texts, unet, beside)
