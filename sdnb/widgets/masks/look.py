"""The mask editor's style sheet, in the colours of JupyterLab's theme, with fallbacks."""

from sdnb.widgets import slider

CSS = (
    slider.CSS
    + """
.sdnb-mask { gap: 6px; max-width: 100%; font-family: var(--jp-ui-font-family, sans-serif);
  color: var(--jp-ui-font-color1, #222); overflow: hidden; }
.sdnb-mask .sdnb-bar { gap: 4px 6px; flex-wrap: wrap; align-items: center; overflow: hidden; }
.sdnb-mask .sdnb-group { gap: 2px; flex: 0 0 auto; overflow: hidden; padding: 2px; }
.sdnb-mask .sdnb-group + .sdnb-group { padding-left: 8px;
  border-left: 1px solid var(--jp-border-color2, #ddd); }
.sdnb-mask .sdnb-below { max-width: 100%; align-items: center; justify-content: space-between;
  overflow: hidden; }
/* The word of an icon button is for screen readers. */
.sdnb-mask .sdnb-icon { width: 28px; height: 30px; padding: 0; margin: 0; line-height: 1;
  display: inline-flex; align-items: center; justify-content: center; border-radius: 4px;
  font-size: 0; color: var(--jp-ui-font-color1, #222);
  background: transparent; box-shadow: none; border: 1px solid transparent; }
.sdnb-mask .sdnb-icon i { font-size: 15px; margin: 0; }
.sdnb-mask .sdnb-icon:hover:enabled { background: var(--jp-layout-color2, #eee); }
.sdnb-mask .sdnb-icon.mod-active { background: var(--jp-brand-color1, #1976d2); color: #fff;
  box-shadow: none; }
.sdnb-mask .sdnb-icon:disabled { opacity: 0.35; }
.sdnb-mask .sdnb-icon:focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2);
  outline-offset: -1px; }
.sdnb-mask .sdnb-slider { width: 250px; }
.sdnb-mask .sdnb-slider .widget-label { min-width: 0; margin-right: 8px; }
.sdnb-mask .sdnb-stage { overflow: hidden; max-width: 100%; flex: 0 0 auto; }
.sdnb-mask .sdnb-stage canvas { cursor: crosshair; border-radius: 3px; touch-action: none;
  outline-offset: -2px; background: var(--jp-layout-color2, #eee); }
.sdnb-mask .sdnb-stage.sdnb-pan canvas { cursor: grab; }
.sdnb-mask .sdnb-stage canvas:focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2); }
.sdnb-mask .sdnb-said, .sdnb-mask .sdnb-said * { font-size: 12px; line-height: 1.4;
  color: var(--jp-ui-font-color2, #555); margin: 0; height: auto; white-space: normal; }
.sdnb-mask .sdnb-said b { color: var(--jp-ui-font-color1, #222); }
.sdnb-mask .sdnb-said .sdnb-problem { color: var(--jp-error-color1, #c62828); }
.sdnb-mask .sdnb-said a { color: var(--jp-content-link-color, #1565c0); }
"""
)
