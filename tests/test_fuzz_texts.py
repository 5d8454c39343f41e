"""Hostile recipes, stores and YAML are read, or are an error in words; see the helper."""

import pytest
from helpers import fuzz_texts


@pytest.mark.parametrize("reader", fuzz_texts.READERS, ids=lambda reader: reader.__name__)
def test_every_text_is_read_or_is_an_error_in_words(tmp_path, reader):
    fuzz_texts.fuzz(reader, tmp_path, seed=1, count=60)
