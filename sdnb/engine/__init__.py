"""All that needs torch: networks, samplers, checkpoints, memory, and the pipeline over them."""
