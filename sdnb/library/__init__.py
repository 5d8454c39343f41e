"""What is on the disk: checkpoints, LoRAs, embeddings and more, told by their tensors; no torch."""

from sdnb.library.library import Library, Source, opened
from sdnb.library.library_file import LibraryFile

__all__ = ["Library", "LibraryFile", "Source", "opened"]
