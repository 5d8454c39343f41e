"""What is on the disk: checkpoints, LoRAs, embeddings and more, told by their tensors; no torch."""

from sdnb.library.library import Library, Source, opened
from sdnb.library.library_file import LibraryFile
from sdnb.library.named_files import lacking, named, others
from sdnb.library.recovery import with_files

__all__ = [
    "Library",
    "LibraryFile",
    "Source",
    "lacking",
    "named",
    "opened",
    "others",
    "with_files",
]
