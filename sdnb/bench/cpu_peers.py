"""OpenVINO and onnxruntime as peers of `sdnb bench cpu`: compilers of diffusers' networks.

The UNet and the decoder are compiled for one size and a batch of two, as both libraries advise for
speed. The text encoder, a hundredth of the work, and the loop stay diffusers' own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Run = Callable[..., Tensor]
Compile = Callable[[nn.Module, tuple[Tensor, ...], str], Run]


class _UNetOfTensors(nn.Module):
    """diffusers' UNet of tensors alone, as a compiler wants it."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        noise: Tensor = self.unet(x, t, context, return_dict=False)[0]
        return noise


class _DecoderOfTensors(nn.Module):
    """diffusers' decoder, the same way."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor) -> Tensor:
        pixels: Tensor = self.vae.decode(z, return_dict=False)[0]
        return pixels


def loader(of_diffusers: Callable[..., Any], compiler: str) -> Callable[..., Any]:
    """What loads diffusers' pipeline, as `of_diffusers` gives it, with both networks by a compiler
    of `COMPILERS`, which is imported now.
    """
    compiled = COMPILERS[compiler]()

    def load(path: str | None, size: int, steps: int, precision: str) -> Any:
        maker = of_diffusers(path, size, steps, "full")
        unet, vae, side = maker.pipe.unet, maker.pipe.vae, size // 8
        x = torch.zeros(2, unet.config.in_channels, side, side)
        context = torch.zeros(2, 77, unet.config.cross_attention_dim)
        given = x, torch.ones(2), context
        with torch.inference_mode():
            denoise = compiled(_UNetOfTensors(unet).eval(), given, precision)
            decode = compiled(_DecoderOfTensors(vae).eval(), (x[:1, :4],), precision)

        def unet_forward(x: Tensor, t: Any, encoder_hidden_states: Tensor, **_: Any) -> Any:
            times = torch.as_tensor(t, dtype=torch.float32).expand(len(x))
            return (denoise(x, times, encoder_hidden_states),)

        unet.forward = unet_forward
        vae.decode = lambda z, **_: (decode(z),)
        return maker

    return load


def _openvino() -> Compile:
    import openvino

    def compiled(module: nn.Module, given: tuple[Tensor, ...], precision: str) -> Run:
        settings = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "f32" if precision == "full" else "bf16",
            "NUM_STREAMS": 1,
        }
        model = openvino.convert_model(module, example_input=given)
        model.reshape({n: list(x.shape) for n, x in enumerate(given)})
        run = openvino.Core().compile_model(model, "CPU", settings)
        return lambda *x: torch.from_numpy(run([each.contiguous().numpy() for each in x])[0])

    return compiled


def _onnxruntime() -> Compile:
    import onnxruntime

    def compiled(module: nn.Module, given: tuple[Tensor, ...], precision: str) -> Run:
        if precision != "full":
            raise ValueError("onnxruntime computes in float32 on a CPU; it has no bf16 there")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.onnx")
            torch.onnx.export(module, given, path, dynamo=True, verbose=False)
            run = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        names = [each.name for each in run.get_inputs()]

        def call(*x: Tensor) -> Tensor:
            inputs = {n: each.numpy() for n, each in zip(names, x, strict=True)}
            return torch.from_numpy(run.run(None, inputs)[0])

        return call

    return compiled


#: Name -> what imports it, and gives what compiles a module for inputs of these shapes.
COMPILERS: dict[str, Callable[[], Compile]] = {"openvino": _openvino, "onnxruntime": _onnxruntime}
