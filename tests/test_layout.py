"""How the code lies: no circle of imports, also not of types; no two things of one name."""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

PACKAGE = Path(__file__).parents[1] / "sdnb"
LAYERS = (
    "__main__", "cli", "bench models", "widgets", "grid", "remote", "jobs", "engine", "library",
    "headers images", "request", "hints", "assets",
)  # fmt: skip
# `sdnb.remote` is the public face of `sdnb.jobs.remote`: it bears the name of what it shows.
FACES = {"remote.py"}


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("sdnb", exclude_type_checking_imports=False, cache_dir=None)


def test_there_is_no_circle_of_imports_also_not_of_types(graph):
    imports = {
        module: graph.find_modules_directly_imported_by(module)
        for module in graph.modules
        if module != "sdnb"  # its names are lazy, and everything may be one of them
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_imports_go_down_only_also_those_of_types(graph):
    floor = {room: i for i, rooms in enumerate(LAYERS) for room in rooms.split()}
    climbs = []
    for module in graph.modules - {"sdnb"}:
        for imported in graph.find_modules_directly_imported_by(module) - {"sdnb"}:
            above, below = (floor[name.split(".")[1]] for name in (module, imported))
            if above > below:
                climbs.append(f"{module} -> {imported}")
    assert climbs == []


def test_no_two_files_have_one_name():
    files = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        if path.name != "__init__.py":
            files[path.name].append(str(path.relative_to(PACKAGE)))
    assert {n: p for n, p in files.items() if len(p) > 1 and n not in FACES} == {}


def test_no_two_classes_have_one_name():
    classes = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes[node.name.lstrip("_")].append(str(path.relative_to(PACKAGE)))
    assert {name: paths for name, paths in classes.items() if len(paths) > 1} == {}
