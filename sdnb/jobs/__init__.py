"""A request on its way: in this thread, in a thread beside it, or in another process or machine."""
