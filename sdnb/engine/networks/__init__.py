"""The networks of Stable Diffusion 1.x and 2.x, named as in a CompVis checkpoint."""
