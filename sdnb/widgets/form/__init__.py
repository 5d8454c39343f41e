"""The form of a panel: a table of a request's fields, the kinds of control, the two laid out."""
