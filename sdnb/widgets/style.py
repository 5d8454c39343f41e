"""The style sheet of all widgets, in the colours of JupyterLab's theme; rows and small text."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets

from sdnb.widgets import slider

# The second colour of each pair is for pages without a theme, such as voila's.
_CSS = """
.sdnb { max-width: 1400px; container-type: inline-size; color: var(--jp-ui-font-color1, #212121); }
.sdnb .widget-label { min-width: 0; }
/* The prompt and its buttons, then what one sets beside what comes of it. */
.sdnb .sdnb-top { display: grid; grid-template-columns: minmax(0, 1fr) 148px; gap: 8px; }
.sdnb .sdnb-columns { display: grid; gap: 16px; align-items: start;
  grid-template-columns: minmax(0, 9fr) minmax(0, 11fr); }
@container (max-width: 700px) { .sdnb .sdnb-columns { grid-template-columns: minmax(0, 1fr); } }
.sdnb .sdnb-actions > button { width: auto; }
.sdnb-zoom { display: block; overflow: auto; cursor: zoom-in; position: relative; }
.sdnb-zoom:has(:checked) { cursor: zoom-out; }
.sdnb-zoom input { position: absolute; opacity: 0; }
.sdnb-zoom:has(:focus-visible) { outline: 2px solid var(--jp-brand-color1, #1976d2); }
.sdnb-zoom img, .sdnb img.sdnb-picture { display: block; max-width: 100%; height: auto;
  max-height: max(60vh, 320px); object-fit: contain; object-position: left top; }
.sdnb-zoom :checked + img { max-width: none; max-height: none; }
.sdnb-link { padding: 0 10px; color: var(--jp-content-link-color, #1976d2); }
.sdnb-quiet, .sdnb-quiet * { color: var(--jp-ui-font-color2, #616161); font-size: 12px;
  line-height: 1.5; }
.sdnb .widget-html > .widget-html-content { line-height: 1.5; }
.sdnb-open input, .sdnb-open select { opacity: .62; font-style: italic; }
/* The words of an icon or a thumbnail are for screen readers. */
.sdnb button.sdnb-icon { width: 32px; padding: 0; flex: 0 0 auto; font-size: 0; line-height: 1;
  display: inline-flex; align-items: center; justify-content: center; }
.sdnb button.sdnb-icon i { font-size: 13px; margin: 0; }
.sdnb button.sdnb-thumb { font-size: 0; }
.sdnb button:focus-visible, .sdnb [tabindex]:focus-visible, .sdnb input:focus-visible {
  outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
/* The browser's part writes "(0)" behind an upload's words. */
.sdnb button.sdnb-upload { font-size: 0; }
.sdnb button.sdnb-upload i { font-size: 13px; }
.sdnb button.sdnb-upload::after { font-size: 13px; }
.sdnb button.sdnb-upload-picture::after { content: "Picture…"; content: "Picture…" / ""; }
.sdnb button.sdnb-upload-mask::after { content: "Mask…"; content: "Mask…" / ""; }
.sdnb button.sdnb-upload-add::after { content: "Add a picture…"; content: "Add a picture…" / ""; }
.sdnb-chips { display: flex; flex-wrap: wrap; gap: 4px; align-items: center; padding: 2px 0;
  font-size: 12px; line-height: 1.5; }
.sdnb-chips { max-height: 132px; overflow-y: auto; }
.sdnb-chip { border-radius: 4px; padding: 0 6px; border-left: 4px solid var(--c);
  background: var(--jp-layout-color2, #eee); white-space: pre-wrap; overflow-wrap: anywhere; }
.sdnb-chip b { font-variant-numeric: tabular-nums; }
.sdnb-chip del { color: var(--jp-error-color1, #d32f2f); }
.sdnb-warn { border-left: 4px solid var(--jp-warn-color1, #ef6c00); padding: 2px 8px; margin: 2px 0;
  font-size: 12px; line-height: 1.5; background: var(--jp-layout-color2, #eee); }
.sdnb-error { border-left: 4px solid var(--jp-error-color1, #d32f2f); padding: 6px 10px;
  margin: 4px 0; line-height: 1.5; background: var(--jp-layout-color2, #eee); }
.sdnb-error pre { overflow-x: auto; font-size: 11px; max-height: 260px; }
.sdnb img { image-rendering: auto; }
.sdnb-picture img, img.sdnb-picture { max-width: 100%; height: auto; object-fit: contain; }
.sdnb button.sdnb-thumb { width: 100px; height: 100px; margin: 2px; background-size: contain;
  background-repeat: no-repeat; background-position: center;
  background-color: var(--jp-layout-color2, #eee); position: relative; overflow: hidden; }
.sdnb button.sdnb-thumb.sdnb-chosen { outline: 3px solid var(--jp-brand-color1, #1976d2); }
.sdnb button.sdnb-thumb.sdnb-kept::after { content: "\\2605"; position: absolute; right: 4px;
  top: 0; color: #ffc107; text-shadow: 0 0 3px #000; font-size: 16px; }
.sdnb-table { overflow: auto; max-height: 760px; margin: 6px 0; }
.sdnb-table table { border-spacing: 4px; }
.sdnb-table th { font-size: 12px; font-weight: 400; max-width: 160px; overflow-wrap: break-word;
  text-align: center; vertical-align: middle; padding: 0 4px; line-height: 1.3; }
.sdnb-table th[scope=row] { min-width: 72px; }
.sdnb-table td { padding: 0; }
.sdnb-table button { display: block; border: 0; padding: 0; cursor: pointer; font-size: 11px;
  color: var(--jp-ui-font-color2, #616161); background: var(--jp-layout-color2, #eee) center /
  contain no-repeat; }
.sdnb-compare { max-width: 100%; --at: 50%; }
.sdnb-pair { position: relative; }
.sdnb-compare img { display: block; width: 100%; }
.sdnb-pair img + img { position: absolute; inset: 0; width: 100%; height: 100%;
  clip-path: inset(0 0 0 var(--at)); }
.sdnb-pair::after { content: ""; position: absolute; top: 0; bottom: 0; left: var(--at);
  width: 2px; background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; }
.sdnb button.sdnb-fold { background: none; font-weight: 600; padding-left: 0; box-shadow: none; }
.sdnb-line { white-space: nowrap; }
.sdnb-compare input { width: 100%; height: 24px; margin: 4px 0 0; }
.sdnb-code { width: 100%; min-height: 88px; font: 12px var(--jp-code-font-family, monospace);
  color: inherit; background: var(--jp-layout-color2, #eee); border: 1px solid
  var(--jp-border-color2, #bbb); }
.sdnb-settings { font-size: 12px; line-height: 1.6; border-collapse: collapse; }
.sdnb-settings th { text-align: left; padding-right: 12px; font-weight: 600;
  vertical-align: top; white-space: nowrap; }
.sdnb-settings td { overflow-wrap: anywhere; }
"""


def sheet() -> widgets.HTML:
    """The style sheet as a hidden widget, for each widget that can be shown alone."""
    return widgets.HTML(f"<style>{slider.CSS}{_CSS}</style>", layout=widgets.Layout(display="none"))


def row(children: Sequence[widgets.Widget], **layout: str | None) -> widgets.HBox:
    """Widgets side by side; those that a narrow page has no room for go below the first."""
    in_row = {"flex_flow": "row wrap", "align_items": "center", **layout}
    return widgets.HBox(children, layout=widgets.Layout(**in_row))


def box(name: str, children: Sequence[widgets.Widget]) -> widgets.Box:
    """Widgets that the style sheet lays out by this name."""
    laid_out = widgets.Box(children)
    laid_out.add_class(name)
    return laid_out


def quiet_line() -> widgets.HTML:
    """A line of small grey text, empty at first."""
    line = widgets.HTML()
    line.add_class("sdnb-quiet")
    return line
