"""The networks of Stable Diffusion 1.x, named as in a CompVis checkpoint."""
