"""Panels and editors for a notebook: what people touch. No torch here."""
