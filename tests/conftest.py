"""What holds for every test."""

import os

# Waiting threads soon give their core back: the tests run beside kernels and a browser.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
