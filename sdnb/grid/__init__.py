"""Grids: one request with one to three things varied, as pictures and as data. No torch."""
