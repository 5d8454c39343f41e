"""The part of the style sheet that is a grid's alone: the large view stands beside the grid, and
below it where the notebook's cell is narrow.
"""

from __future__ import annotations

CSS = """
.sdnb-grid { container: sdnb-grid / inline-size; }
.sdnb-grid-both { display: flex; flex-flow: column; gap: 12px; }
.sdnb-grid-both > * { min-width: 0; }
@container sdnb-grid (min-width: 640px) {
  .sdnb-grid-both.sdnb-looking { flex-flow: row; align-items: flex-start; }
  .sdnb-grid-both.sdnb-looking > :first-child { flex: 0 1 auto; max-width: 56% !important; }
  .sdnb-grid-both.sdnb-looking > :last-child { flex: 1 1 320px; margin-top: 6px; }
}
/* Where a row has no room, its words and its thumbnails become smaller, these down to 32 pixels. */
.sdnb-table table { --words: min(var(--side), 14cqw); table-layout: fixed; width: 100%;
  min-width: calc(var(--words) + var(--across) * 36px + 4px); }
.sdnb-table thead td { width: var(--words); }
.sdnb-table thead th { padding: 0; }
.sdnb-table button { position: relative; width: 100%; }
.sdnb-table button::before { position: absolute; left: 4px; top: 4px; min-width: 20px; padding: 0;
  border-radius: 4px; font-size: 12px; font-weight: 700; line-height: 20px; text-align: center;
  color: #fff; background: #111; box-shadow: 0 0 0 1px #fff; }
"""
