"""The form of a panel: the table of fields, the kinds of control, and their layout."""
