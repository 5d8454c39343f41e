"""What a request will take on this machine, and which memory plan it gets."""
