"""The built-in model (`tiny`), its training (`training`) and its evaluation (`evaluate`)."""
