"""What kernels and allocators take that no rehearsal shows, as it was measured.

Measured on 2026-11-24 on an NVIDIA H100 80GB, torch 2.11+cu130. `sdnb bench gpu --tiers` prints the
predicted and the measured peak of every plan and size, and so the error of these figures: the
predictions were 0.95 to 1.07 of the peaks, and of resident and offloaded weights up to 1088x1088
they are 0.998 to 1.02 since a recorded step's pages are rehearsed. Fit them anew when a version of
torch moves that range. A run whose prompts are encoded already takes less where the text encoder's
visit is the peak: SD 2.1 under "1gb" 0.53 GB, not 0.73.
"""

from __future__ import annotations

#: GB on a card beside our tensors: cuBLAS's workspaces of 32 MB on an H100, one for each of two
#: streams, and a recorded step's copies of keys and values; in full precision also cuDNN's own
#: copies of the maps that it convolves.
LIBRARIES_HALF, LIBRARIES_FULL = 0.07, 0.15
#: GB by which the allocator rounds its pools up.
POOL_ROUNDING = 0.03

#: GB that a process on a CPU keeps from its first run, so that they are missing from what it holds
#: before: kernels, prepared convolutions, the rehearsal's own modules. Measured on 2026-11-27 with
#: the built-in model: 0.19, torch 2.13.
FIRST_RUN_CPU = 0.2
#: The same where weights are read from their file: what is freed is given back after each stage.
#: Measured on 2026-11-29 with SD 1.4's shapes at 256² and 512²: 0.04.
FIRST_RUN_LEAN = 0.04
#: GB of the CPU's kernels while they work: what they pack, and freed memory between what is in use.
#: Where weights stay in their file it counts. Measured there in the same runs: 0.02 to 0.18, so
#: that predictions are 0.95 to 1.08 of the peaks.
KERNELS_CPU = 0.13

#: What the allocator reserves for activations, in multiples of what is in use: maps of different
#: sizes come and go, and leave holes that the next one does not fit into. Of a recorded step, which
#: has a pool of its own, the holes are rehearsed (`memory.pool`).
FRAGMENTATION = 1.15
#: GB of a stream on which steps are recorded, beside its workspace in `LIBRARIES_HALF`: the 32 MB
#: of that lie across up to three of the allocator's pages of 20 MB, which hold nothing else.
RECORDING_STREAM = 0.027

#: Latent pixels of all pictures of a pass up to which control networks work beside the UNet's way
#: down: it saves 1.0 ms of 8.9 at 512², 1.4 of 20 at 768², and 1.1 of 48 at 1088², where the maps,
#: held for longer, would take 0.33 GB (one ControlNet, an H100, 2026-11-28).
BESIDE_MOST = 9216
#: GB of their stream, a workspace as the one for recording has. The process keeps it.
BESIDE_STREAM = 0.06

#: The share of the room that a plan is made to fill, since predictions are right to a tenth.
FILL_FRACTION = 0.93
#: A request is refused when it is predicted to take this many times the room there is.
REFUSE_ABOVE = 1.1

#: Steps from which recording a CUDA graph for one run saves more time than it costs.
GRAPH_MIN_STEPS = 6
#: Tokens or pixels of the latent that a layer has in work at the least, where it is chunked.
MIN_CHUNK = 4096
#: Squared pixels of a full preview in work at once: it takes little memory beside a step's.
PREVIEW_TILE = 128
#: On a CPU, a picture of more than this many times the pixels that suit the model is planned for.
LARGE_PICTURE = 4

#: An assumed card of the middle, for the price in speed alone: bytes a second over the bus, and
#: operations a second in a UNet.
BUS_BYTES, FLOPS = 20e9, 60e12
#: Operations of one pass of SD 1.x's UNet over 4096 latent pixels (512x512), from the shapes of its
#: layers; the part of self-attention that grows with the square of the pixels is not in it.
PASS_FLOPS = 0.68e12
#: A control network's operations, in shares of the UNet's.
CONTROL_FLOPS = 0.35
