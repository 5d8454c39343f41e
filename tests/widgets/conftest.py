"""A mask editor over a picture, and the hand that draws in it."""

import pytest
from helpers.mask_hand import Hand, picture

from sdnb.widgets.masks.editor import MaskEditor


@pytest.fixture
def editor():
    return MaskEditor(picture())


@pytest.fixture
def hand(editor):
    return Hand(editor)
