"""All that needs torch: networks, samplers, checkpoints, memory, and the pipeline over them."""

import os

# How long torch's waiting threads keep their core; libgomp reads it when torch is loaded. Measured
# on two cores, a picture of the fast model: 0.55 s alone and 1.4 s beside one busy program, where
# libgomp's own 300,000 take 0.53 and up to 11 s, and 1,000 take 0.71 and 1.1 s.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
