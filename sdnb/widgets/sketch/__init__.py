"""Draw and watch: `sketch_panel` is the widget, `drawn_request` and `draft` what it asks for."""
