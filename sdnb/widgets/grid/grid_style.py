"""The part of the style sheet that is a grid's alone: the large view stands beside the grid, and
below it where the notebook's cell is narrow.
"""

from __future__ import annotations

CSS = """
.sdnb-grid { container: sdnb-grid / inline-size; }
.sdnb-grid-both { display: flex; flex-flow: column; gap: 12px; }
.sdnb-grid-both > * { min-width: 0; }
@container sdnb-grid (min-width: 720px) {
  .sdnb-grid-both.sdnb-looking { flex-flow: row; align-items: flex-start; }
  .sdnb-grid-both.sdnb-looking > :first-child { flex: 0 1 auto; max-width: 56% !important; }
  .sdnb-grid-both.sdnb-looking > :last-child { flex: 1 1 320px; margin-top: 6px; }
}
/* Thumbnails become smaller where there is no room for all of a row, as far as 48 pixels. */
.sdnb-table table { table-layout: fixed; width: 100%; min-width: var(--least); }
.sdnb-table button { position: relative; width: 100%; }
.sdnb-table button::before { position: absolute; left: 4px; top: 4px; min-width: 20px; padding: 0;
  border-radius: 4px; font-size: 12px; font-weight: 700; line-height: 20px; text-align: center;
  color: #fff; background: var(--jp-brand-color1, #1976d2); box-shadow: 0 0 0 1px #fff; }
"""
