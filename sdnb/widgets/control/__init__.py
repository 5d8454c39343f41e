"""The section "Control" of a panel: nets, the pictures that they hold a run to, and their hints."""
