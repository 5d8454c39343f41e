"""Where pictures are kept and found: `gallery` is the widget, `gallery_contents` what is in it."""
