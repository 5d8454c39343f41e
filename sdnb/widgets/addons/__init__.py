"""The "Add-ons" of a panel: LoRAs with their strengths, and what a library of files has."""
