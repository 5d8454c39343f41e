"""Token merging (https://arxiv.org/abs/2303.17604, section 4), token by token in plain Python.

Which corner of each 2 x 2 stays is given. Without chance in it, this gave the same as the authors'
code (tomesd 0.1.3, `bipartite_soft_matching_random2d`) in four sizes, to the last bit.
"""

import torch


def groups(x, staying, share):
    """The tokens of each group of one picture's tokens x `[n, c]`: those alone have groups, too."""
    unit = x / x.norm(dim=-1, keepdim=True)
    others = [n for n in range(len(x)) if n not in staying]
    nearest = {n: max(staying, key=lambda s: float(unit[n] @ unit[s])) for n in others}
    alike = sorted(others, key=lambda n: -float(unit[n] @ unit[nearest[n]]))
    joining = alike[: min(int(len(x) * share), len(others))]
    found = {s: [s] for s in staying}
    for n in joining:
        found[nearest[n]].append(n)
    return [[n] for n in others if n not in joining] + list(found.values())


class MergedAttention:
    """In place of the call of a diffusers block's `attn1`: it sees the means of the groups."""

    def __init__(self, block, staying, share):
        self.staying, self.share = staying, share
        self.whole = block.attn1.forward
        block.register_forward_pre_hook(self.seen)
        block.attn1.forward = self

    def seen(self, _, args):
        self.x = args[0]  # what enters the block, by which tokens are alike

    def __call__(self, normed, **how):
        out = torch.empty_like(normed)
        for row, x in enumerate(self.x):
            parts = groups(x, self.staying, self.share)
            means = torch.stack([normed[row, part].mean(dim=0) for part in parts])
            for part, value in zip(parts, self.whole(means[None], **how)[0], strict=True):
                out[row, part] = value
        return out
