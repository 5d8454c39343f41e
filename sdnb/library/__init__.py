"""What is on the disk: checkpoints, LoRAs, embeddings and more, told by their tensors; no torch."""

from sdnb.library.library import Library, Source, opened
from sdnb.library.library_file import LibraryFile
from sdnb.library.named_files import lacking, named, others, stands_in
from sdnb.library.recovery import with_files

__all__ = [
    "Library",
    "LibraryFile",
    "Source",
    "lacking",
    "named",
    "opened",
    "others",
    "stands_in",
    "with_files",
]
