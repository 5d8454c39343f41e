"""What several tests of grids need."""

import errno

import pytest

from sdnb.images import files


@pytest.fixture
def fill_disk(monkeypatch):
    """Call it with a number: after so many new files the disk is full, until `monkeypatch.undo`."""
    write_new = files.write_new

    def fill_disk(room):
        left = [room]

        def write_while_there_is_room(folder, names, data):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write_new(folder, names, data)

        monkeypatch.setattr(files, "write_new", write_while_there_is_room)

    return fill_disk
