"""The embedded model (`tiny`), its training (`training`) and its evaluation (`evaluate`)."""
