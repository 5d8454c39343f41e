"""The workshop's rules hold: format, lint, types, the picture of imports, stripped notebooks."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CHECKS = {
    "format": ["-m", "ruff", "format", "--check", "."],
    "lint": ["-m", "ruff", "check", "."],
    "types": ["-m", "mypy"],
    "imports": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_the_rules_hold(check):
    run = subprocess.run(
        [sys.executable, *CHECKS[check]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_notebooks_are_stored_without_outputs():
    notebooks = sorted(str(path) for path in ROOT.glob("notebooks/**/*.ipynb"))
    assert notebooks
    command = [sys.executable, "-m", "nbstripout", "--verify", "--keep-id", *notebooks]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
