"""A Hugging Face hub in a folder, in place of the network, and a cache laid out as the real one."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Repositories as folders in `root`; what is asked for is copied into a cache, where a
    repository's folder bears a commit's name and its files are links.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        self.root, self.cache = root, cache
        self.failure: Exception | None = None
        self.asked: list[tuple[str, str | None]] = []
        self.revisions: set[str | None] = set()

    def put_in_place(self, monkeypatch) -> None:
        """Have huggingface_hub's functions come here."""
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: self)
        for name in ("snapshot_download", "hf_hub_download"):
            monkeypatch.setattr(huggingface_hub, name, getattr(self, name))

    def snapshot(self, repo: str) -> Path:
        """Where the cache has a repository."""
        return self.cache / f"models--{repo.replace('/', '--')}" / "snapshots" / COMMIT

    def list_repo_files(self, repo: str, revision: str | None = None) -> list[str]:
        self.asked.append((repo, revision))  # every look-up comes through here
        if self.failure is not None:
            raise self.failure
        folder = self.root / repo
        return [f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()]

    def snapshot_download(
        self, repo, revision=None, allow_patterns=None, *, local_files_only=False
    ) -> str:
        self.revisions.add(revision)
        target = self.snapshot(repo)
        if local_files_only:
            if not target.is_dir():
                raise errors.LocalEntryNotFoundError("nothing in the cache")
            return str(target)
        blobs = target.parent.parent / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        for name in allow_patterns:
            blob, link = blobs / name.replace("/", "--"), target / name
            shutil.copy(self.root / repo / name, blob)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(blob)
        return str(target)

    def hf_hub_download(self, repo: str, name: str, revision: str | None = None) -> str:
        self.snapshot_download(repo, revision, allow_patterns=[name])
        return str(self.snapshot(repo) / name)
