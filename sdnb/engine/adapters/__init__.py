"""LoRAs and their family: from a file to what each of its modules adds to a weight.

`adapter_file` opens a file, `module_names` finds the weights it speaks of, `families` does each
kind's mathematics, `blocks` weighs them block by block, `overlay` puts a set of files together, and
`merge` writes a weight with its additions. Files are read by `sdnb.engine.checkpoint`, lazily.
"""

from sdnb.engine.adapters.adapter_file import AdapterFile, open_file
from sdnb.engine.adapters.overlay import NOTHING, Overlay, overlay

__all__ = ["NOTHING", "AdapterFile", "Overlay", "open_file", "overlay"]
