"""How the embedded model was made: sprites, captioned scenes, two trainers, and the tools of its
evaluation.

Read in this order: `concepts` and `sprites` (emoji packages to sprites), `catalog` (the sprites on
disk), `phrases` and `scenes` (a random picture's plan and caption), `backgrounds` and `painter`
(the plan painted), `batches`, `optimiser`, `train_vae`, `train_unet`.
"""
