"""Executors: they run requests in this thread, in a thread beside it, or elsewhere. No torch."""
