"""The loop of a small training, which goes on where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import torch
from torch import nn
from tqdm.auto import tqdm

if TYPE_CHECKING:
    from sdnb.engine.model import Model

_EVERY = 60.0  # seconds between two savings


class Course:
    """So many steps of AdamW, with a rate that falls to 0. What the next step depends on is kept
    beside `path`, in a file that ends with ".training": once a minute and where the loop breaks
    off, until the last step is done.

    `about` says which training it is: with `resume` that of the same `about` goes on from its file,
    where there is one. `device` is where noise is drawn.

    Raises ValueError where the file is that of another training.
    """

    def __init__(
        self,
        path: Path,
        parameters: Sequence[nn.Parameter],
        device: torch.device,
        *,
        steps: int,
        rate: float,
        about: Mapping[str, str],
        resume: bool = False,
    ) -> None:
        self.kept = path.with_name(path.name + ".training")
        self.steps, self.rate, self.done = steps, rate, 0
        self.about = {"steps": str(steps), "rate": str(rate), **about}
        self._parameters, self._device = list(parameters), device
        self._adam = torch.optim.AdamW(self._parameters, rate, betas=(0.9, 0.99))
        self._noise = self._noise_state()
        if resume and self.kept.is_file():
            self._go_on()

    def run(self, backward: Callable[[], object]) -> None:
        """Take the steps that are left. `backward` leaves the gradients of one."""
        saved = monotonic()
        with tqdm(total=self.steps, initial=self.done, desc="training") as bar:
            try:
                while self.done < self.steps:
                    backward()
                    self._adam.param_groups[0]["lr"] = self.rate * (1 - self.done / self.steps)
                    self._adam.step()
                    self._adam.zero_grad()
                    self.done, self._noise = self.done + 1, self._noise_state()
                    bar.update()
                    if monotonic() - saved > _EVERY:
                        self._keep()
                        saved = monotonic()
            except BaseException:
                self._keep()
                bar.set_description("training, stopped: resume=True goes on")
                raise
        self.kept.unlink(missing_ok=True)

    def _keep(self) -> None:
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        aside = self.kept.with_name(self.kept.name + ".part")
        state = {
            "about": self.about, "done": self.done, "noise": self._noise,
            "parameters": [each.detach().cpu() for each in self._parameters],
            "optimiser": self._adam.state_dict(),
        }  # fmt: skip
        torch.save(state, aside)
        aside.replace(self.kept)

    def _go_on(self) -> None:
        state = torch.load(self.kept, map_location="cpu", weights_only=True)
        other = [
            f"{name} {state['about'].get(name)}, not {value}"
            for name, value in self.about.items() if state["about"].get(name) != value
        ]  # fmt: skip
        if other:
            raise ValueError(
                f"{self.kept} was left by another training ({'; '.join(other)}): give the same "
                "again, or resume=False to begin anew"
            )
        with torch.no_grad():
            for ours, kept in zip(self._parameters, state["parameters"], strict=True):
                ours.copy_(kept)
        self._adam.load_state_dict(state["optimiser"])
        self.done, self._noise = state["done"], state["noise"]
        torch.set_rng_state(self._noise[0])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(self._noise[1], self._device)

    def _noise_state(self) -> list[torch.Tensor]:
        states = [torch.get_rng_state()]
        if self._device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self._device))
        return states


def told(
    model: Model, pictures: Sequence[object], *, steps: int, batch: int, rate: float, seed: int
) -> dict[str, str]:
    """What the file of a training says of it, by the names of kohya's trainer."""
    return {
        "num_train_images": str(len(pictures)), "steps": str(steps), "batch": str(batch),
        "learning_rate": str(rate), "seed": str(seed), "sd_model_name": model.name,
    }  # fmt: skip
