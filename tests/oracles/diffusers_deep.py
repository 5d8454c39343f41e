"""DeepCache (https://arxiv.org/abs/2312.00858) by the blocks of diffusers' UNet, called by hand.

The branch is after the second resnet of the way down: what is kept enters the last two resnets of
the way up.
"""

import torch


def _time(unet, x, t):
    return unet.time_embedding(unet.time_proj(torch.tensor([t])).to(x.dtype).expand(len(x), -1))


def _up(unet, hidden, skips, emb, text, first):
    """The resnets of the last block of the way up from `first` on, and the output."""
    up = unet.up_blocks[-1]
    for i in range(first, len(up.resnets)):
        hidden = up.resnets[i](torch.cat([hidden, skips.pop()], dim=1), emb)
        if hasattr(up, "attentions"):
            hidden = up.attentions[i](hidden, encoder_hidden_states=text).sample
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden)))


def whole(unet, x, t, text):
    """What it predicts, and what enters the last two resnets."""
    emb, hidden = _time(unet, x, t), unet.conv_in(x)
    skips = [hidden]
    for down in unet.down_blocks:
        more = {"encoder_hidden_states": text} if hasattr(down, "attentions") else {}
        hidden, made = down(hidden, emb, **more)
        skips += made
    hidden = unet.mid_block(hidden, emb, encoder_hidden_states=text)
    for up in unet.up_blocks[:-1]:
        count = len(up.resnets)
        more = {"encoder_hidden_states": text} if hasattr(up, "attentions") else {}
        own, skips = skips[-count:], skips[:-count]
        hidden = up(hidden, tuple(own), emb, upsample_size=skips[-1].shape[2:], **more)
    up = unet.up_blocks[-1]
    hidden = up.resnets[0](torch.cat([hidden, skips.pop()], dim=1), emb)
    if hasattr(up, "attentions"):
        hidden = up.attentions[0](hidden, encoder_hidden_states=text).sample
    return _up(unet, hidden, skips, emb, text, 1), hidden


def shallow(unet, x, t, text, kept):
    """What it predicts with what another pass kept."""
    emb, hidden = _time(unet, x, t), unet.conv_in(x)
    skips, down = [hidden], unet.down_blocks[0]
    hidden = down.resnets[0](hidden, emb)
    if hasattr(down, "attentions"):
        hidden = down.attentions[0](hidden, encoder_hidden_states=text).sample
    skips.append(hidden)
    return _up(unet, kept, skips, emb, text, 1)
