"""The widgets of a grid: its view, the table, one cell shown large, and the studio's tab."""
