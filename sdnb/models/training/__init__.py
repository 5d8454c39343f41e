"""How the embedded model was made: sprites, captioned scenes, two trainers and an evaluation.

Read in this order: `concepts` and `sprites` (emoji packages become sprites), `catalog` (the sprites
on disk), `phrases` and `scenes` (plan and caption of a random picture), `backgrounds` and `painter`
(the plan becomes a picture), `batches`, `optimiser`, `train_vae`, `train_unet`.
"""
