"""The mathematics from noise to a latent. It knows no model, no prompt and no picture.

All of it speaks of `denoise(x, sigma) -> x0`: x is a clean latent plus sigma times unit noise.
"""
