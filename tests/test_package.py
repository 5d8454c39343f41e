"""The door: what `import sdnb` brings in, what it shows, and what an installed sdnb carries."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import sdnb
from sdnb import assets

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch", "transformers", "numpy", "PIL", "matplotlib", "pandas", "skimage", "jupyterlab",
    "ipywidgets",
)  # fmt: skip


def python(code, **options):
    """What a fresh interpreter prints."""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **options
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import sdnb",
        "import sdnb; sdnb.Request('a cat').but(steps=3); sdnb.prompt.parse('a cat:1 dog:2')",
        "from sdnb.__main__ import main; main(['--help'])",
        "from sdnb.__main__ import main; main(['txt2img', '--prompt', 'a', '--W', '500'])",
        "from sdnb.__main__ import main; main(['img2img', '--prmpt', 'a'])",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    code += f"; import sys; print('found', [name for name in {HEAVY} if name in sys.modules])"
    assert python(code).splitlines()[-1] == "found []"


@pytest.mark.process
def test_a_picture_needs_no_library_but_torch():
    """What would take more memory than a small model, and seconds before its first picture."""
    code = (
        "import sdnb; model = sdnb.load()\n"
        "sdnb.txt2img(model, 'a cat', width=64, height=64, steps=1, progress=False)\n"
        "import sys; print([n for n in ('transformers', 'diffusers', 'scipy', 'sympy', 'pandas', "
        "'matplotlib', 'skimage') if n in sys.modules])"
    )
    assert python(code) == "[]\n"


@pytest.mark.process
def test_a_grid_is_planned_without_torch():
    code = (
        "import sdnb; grid = sdnb.sweep(sdnb.Request('a cat', seed=1), steps=[1, 2], cfg=[1, 2])\n"
        "import sys; print(len(grid), 'torch' in sys.modules)"
    )
    assert python(code) == "4 False\n"


@pytest.mark.parametrize("name", sdnb.__all__)
def test_every_public_name_is_there(name):
    assert name in dir(sdnb)
    assert getattr(sdnb, name).__doc__


def test_an_unknown_name_lists_the_known():
    with pytest.raises(AttributeError, match=r"no attribute 'text2img'; it has .*txt2img"):
        _ = sdnb.text2img


def test_a_checkout_has_its_assets():
    assert assets.configs() == ROOT / "configs"
    assert assets.notebooks() == ROOT / "notebooks"
    assert assets.embedded_model().exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """sdnb's wheel, unpacked: what `pip install .` installs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    run = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (path,) = folder.glob("*.whl")
    unpacked = folder / "unpacked"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(unpacked)
    return unpacked


@pytest.mark.process
def test_the_wheel_carries_what_the_checkout_has(wheel):
    def files(folder, *but):
        paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {
            str(p) for p in paths if not {*p.parts} & {"__pycache__", ".ipynb_checkpoints", *but}
        }

    assert files(wheel / "sdnb", "configs", "notebooks") == files(ROOT / "sdnb")
    assert files(wheel / "sdnb" / "configs") == files(ROOT / "configs")
    assert files(wheel / "sdnb" / "notebooks") == files(ROOT / "notebooks")
    (extension,) = wheel.glob("*.data/data/etc/jupyter/jupyter_server_config.d/sdnb.json")
    assert extension.read_bytes() == (ROOT / "configs" / "jupyter" / "sdnb.json").read_bytes()
    (licence,) = wheel.glob("*.dist-info/licenses/LICENSE")
    assert "MIT License" in licence.read_text(encoding="utf-8")


@pytest.mark.process
def test_an_installed_package_finds_its_assets_inside_itself(wheel, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        "from sdnb import assets\n"
        "for path in (assets.configs(), assets.notebooks(), assets.embedded_model()): print(path)"
    )
    for line in python(code, cwd=tmp_path).splitlines():
        assert Path(line).is_relative_to(wheel / "sdnb")


def test_a_home_that_is_not_known_is_said():
    assert assets.user_path("~/a") == Path.home() / "a"
    with pytest.raises(ValueError, match=r"'~nobody-of-this-name/a' begins with a home"):
        assets.user_path("~nobody-of-this-name/a")
