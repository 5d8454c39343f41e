"""The door to OpenCV: brought in when a hint is made, not before."""

from __future__ import annotations

from typing import Any

_WAY_OUT = (
    "hints are made with OpenCV, and this Python cannot import it ({reason}): "
    "pip install opencv-python-headless"
)


def cv2() -> Any:
    """The module `cv2`. Raises ImportError with the way out where it is missing or broken."""
    try:
        import cv2 as module
    except ImportError as error:
        raise ImportError(_WAY_OUT.format(reason=error)) from error
    return module
