"""From noise to a latent: noise levels, denoisers, samplers. Knows no model, no prompt, no picture.

One currency: `denoise(x, sigma) -> x0`, where x is a clean latent plus sigma times unit noise.
"""
