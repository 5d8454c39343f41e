"""A grid of pictures: the view that fills before one's eyes, its table, one cell large, the tab."""
