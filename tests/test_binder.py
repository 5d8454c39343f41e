"""What Binder installs and opens: `binder/` and the badge. Nothing in `binder/` repeats what
pyproject says, so that the two cannot differ.
"""

import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Of Binder's image for Python 3.11, by repo2docker's lock file of 2025-11. Newer ones would replace
# these beside a notebook 7.4, which needs JupyterLab below 4.5.
IMAGE = {"jupyterlab": "4.4.10", "ipykernel": "7.1.0", "ipywidgets": "8.1.8", "psutil": "7.1.3"}


def lines():
    text = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_checkout_is_installed_with_extras_that_there_are_and_nothing_beside_it():
    """The path is the repository's root, since Binder installs from there."""
    options = [line for line in lines() if line.startswith("--extra-index-url ")]
    (install,) = [line for line in lines() if line not in options]
    (extras,) = re.fullmatch(r"-e \.\[([a-z,]+)\]", install).groups()
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_torch_is_the_build_for_a_cpu():
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in lines()


def test_its_python_is_one_that_sdnb_runs_on():
    runtime = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip()
    assert SpecifierSet(PROJECT["requires-python"]).contains(runtime.removeprefix("python-"))


@pytest.mark.parametrize("name", IMAGE)
def test_what_the_image_has_is_new_enough(name):
    (needed,) = [r for r in map(Requirement, PROJECT["dependencies"]) if r.name == name]
    assert needed.specifier.contains(IMAGE[name])


BADGE = re.compile(r"\(https://mybinder\.org/v2/gh/([^/]+)/([^/]+)/HEAD\?urlpath=lab/tree/(.*)\)")


def test_the_badge_opens_the_first_lesson():
    ((_, name, path),) = BADGE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert name == PROJECT["name"]
    assert path == "notebooks/01-txt2img.ipynb"
    assert (ROOT / path).is_file()


def test_while_the_badge_names_nobody_the_readme_has_the_command_that_names_you(tmp_path):
    """An absolute link cannot know whose copy it is in; once it is named, the hint may go."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    ((owner, *_),) = BADGE.findall(text)
    if owner != "OWNER":
        assert "OWNER" not in text
        return
    (command,) = re.findall(r"`(sed [^`]* README\.md)`", text)
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    named = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [found[0] for found in BADGE.findall(named)] == ["you"]
    assert "OWNER" not in named
    assert command not in named
