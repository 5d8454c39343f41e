"""DeepCache (https://arxiv.org/abs/2312.00858) by the blocks of diffusers' UNet, called by hand.

The branch is the outermost one: what is kept enters the last resnet of the way up.
"""

import torch


def _time(unet, x, t):
    return unet.time_embedding(unet.time_proj(torch.tensor([t])).to(x.dtype).expand(len(x), -1))


def _up(unet, i, hidden, skips, emb, text):
    """Resnet `i` of the last block of the way up, and the attention behind it."""
    up = unet.up_blocks[-1]
    hidden = up.resnets[i](torch.cat([hidden, skips.pop()], dim=1), emb)
    if hasattr(up, "attentions"):
        hidden = up.attentions[i](hidden, encoder_hidden_states=text).sample
    return hidden


def _out(unet, kept, skips, emb, text):
    hidden = _up(unet, -1, kept, skips, emb, text)
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden)))


def whole(unet, x, t, text):
    """What it predicts, and what enters the last resnet."""
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
    for i in range(len(unet.up_blocks[-1].resnets) - 1):
        hidden = _up(unet, i, hidden, skips, emb, text)
    return _out(unet, hidden, skips, emb, text), hidden


def shallow(unet, x, t, text, kept):
    """What it predicts with what another pass kept."""
    return _out(unet, kept, [unet.conv_in(x)], _time(unet, x, t), text)
