"""A small request with guidance, whose steps a test makes by hand."""

import sdnb

SIZE, STEPS, CFG = 64, 6, 7.5


def asked(prompt="a fox", **fields):
    given = {"width": SIZE, "height": SIZE, "steps": STEPS, "cfg": CFG, "seed": 5,
             "sampler": "euler", "schedule": "karras", "negative": "blurred"}  # fmt: skip
    return sdnb.Request(prompt, **{**given, **fields})
