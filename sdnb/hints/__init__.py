"""Hints: the pictures that a control network reads, made from other pictures without a network.

The hints have the names that AUTOMATIC1111's extension for control networks gives them, and its
numbers. `sdnb.Control` says which one it wants; `wanted` says which one a network was trained on.
"""

from sdnb.hints.net_names import Wanted, wanted
from sdnb.hints.preparation_names import PREPARATIONS, Value

__all__ = ["PREPARATIONS", "Value", "Wanted", "wanted"]
