"""The embedded model, what made it (`training`), and what holds it to account (`evaluate`)."""
