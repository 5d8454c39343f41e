"""Hints: the pictures that a control network reads, made from other pictures without a network.

    sdnb.hints.wanted("control_v11p_sd15_canny").prepare  # "canny": what a net of that name reads
    sdnb.hints.PREPARATIONS["canny"]  # its numbers: two thresholds, with their ranges
    sdnb.Control("canny", "photo.jpg", prepare="canny", values=(50, 150)).hint  # what comes of it

A preparation has the name that AUTOMATIC1111's extension for control networks gives it, and its
numbers; `ABOUT` says in words what each one makes. A hint of lines is white on black.
"""

from sdnb.hints.net_names import Wanted, wanted
from sdnb.hints.preparation_names import ABOUT, PREPARATIONS, Value

__all__ = ["ABOUT", "PREPARATIONS", "Value", "Wanted", "wanted"]
