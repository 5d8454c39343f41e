"""What holds for every test."""

import os

# Threads that wait give their core back: the tests run beside kernels, a browser and each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
