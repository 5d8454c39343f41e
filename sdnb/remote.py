"""The public home of `Remote`, which sends requests to other processes and machines."""

from sdnb.jobs.remote import Remote, is_pool
from sdnb.jobs.worker_side import release

__all__ = ["Remote", "is_pool", "release"]
