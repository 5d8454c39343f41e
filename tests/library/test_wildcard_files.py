"""Lists of words where other tools have them, told by their names in prompts."""

import json

import pytest

import sdnb
from sdnb.library import Library
from sdnb.request.prompt import expand

YAML = """
clothing:
  - T-shirt
  - Pants
artists:
  finnish:
    - Akseli Gallen-Kallela
  1234: 5678  # this is ignored
long:
  - |
    # usage: __long__
    a {red|blue} toy,
    soft light
"""


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def every(library, template):
    return list(sdnb.every(template, library))


@pytest.mark.parametrize(
    "place",
    [
        "wildcards",
        "scripts/wildcards",
        "models/wildcards",
        "extensions/sd-dynamic-prompts/wildcards",
        "extensions/stable-diffusion-webui-wildcards/wildcards",
        "custom_nodes/comfyui-dynamicprompts/wildcards",
        "custom_nodes/ComfyUI-Impact-Pack/custom_wildcards",
    ],
)
def test_lists_are_found_in_the_folders_of_tools(tmp_path, place):
    write(tmp_path / place / "nature" / "animals.txt", "cat\ndog\n")
    write(tmp_path / "notes" / "readme.txt", "no list")
    library = Library(tmp_path)
    assert library.wildcards.names == ["nature/animals"]
    assert every(library, "__animals__") == ["cat", "dog"]
    assert every(Library(tmp_path / place), "__nature/animals__") == ["cat", "dog"]


@pytest.mark.parametrize(
    "content",
    [
        "# of the sea\r\nfish\r\n\r\n  Möwe  \r\n#whale\r\n",
        "# of the sea\nfish\n\n  Möwe  \n#whale".encode("utf-8-sig"),
        "fish\r\nMöwe\r\n".encode("utf-16"),
        "fish\nMöwe\n".encode("cp1252"),
        "fish\rMöwe\r".encode(),
    ],
)
def test_lines_of_any_editor_are_read(tmp_path, content):
    write(tmp_path / "wildcards" / "sea.txt", content)
    assert every(Library(tmp_path), "__sea__") == ["fish", "Möwe"]


def test_lists_of_one_name_are_one_and_a_new_file_is_seen(tmp_path):
    write(tmp_path / "a" / "wildcards" / "sea.txt", "fish\nseal")
    write(tmp_path / "b" / "wildcards" / "sea.txt", "seal\nwhale")
    library = Library(tmp_path / "a", tmp_path / "b")
    assert every(library, "__sea__") == ["fish", "seal", "whale"]
    write(tmp_path / "b" / "wildcards" / "Land.TXT", "cow")
    assert every(library, "__land__") == ["cow"]
    path = write(tmp_path / "b" / "wildcards" / "Land.TXT", "cow\nhorse")
    assert every(library, "__land__") == ["cow", "horse"]
    path.unlink()
    with pytest.raises(ValueError, match="no list 'land'; known: sea"):
        expand("__land__", 1, library)


def test_the_keys_of_a_tree_are_names(tmp_path):
    write(tmp_path / "wildcards" / "example.yaml", YAML)
    tree = {"hats": ["cap", "2::fez", 7, None], "of": {"felt": ["bowler"]}, "n": 3}
    write(tmp_path / "wildcards" / "sub" / "more.json", json.dumps(tree))
    library = Library(tmp_path)
    assert library.wildcards.names == [
        "artists/finnish",
        "clothing",
        "long",
        "sub/hats",
        "sub/of/felt",
    ]
    assert every(library, "__clothing__") == ["T-shirt", "Pants"]
    assert every(library, "__artists/*__") == ["Akseli Gallen-Kallela"]
    assert every(library, "__hats__") == ["cap", "fez", "7"]
    assert every(library, "__long__") == ["a red toy,\nsoft light", "a blue toy,\nsoft light"]


def test_what_cannot_be_read_is_said_where_it_is_asked_for(tmp_path):
    write(tmp_path / "wildcards" / "broken.yaml", "a: [")
    write(tmp_path / "wildcards" / "sea.txt", "fish")
    write(tmp_path / "wildcards" / "gone.txt", "x").unlink()
    (tmp_path / "wildcards" / "link.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "wildcards" / "round").symlink_to(tmp_path / "wildcards")
    library = Library(tmp_path)
    assert every(library, "__sea__") == ["fish"]
    with pytest.raises(ValueError, match=r"broken\.yaml cannot be read: "):
        expand("__broken__", 1, library)
    with pytest.raises(ValueError, match=r"the list .*link\.txt cannot be read: No such file"):
        expand("__link__", 1, library)


def test_links_to_collections_are_followed(tmp_path):
    write(tmp_path / "collections" / "jumbo" / "sea.txt", "fish")
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "jumbo").symlink_to(tmp_path / "collections" / "jumbo")
    assert Library(tmp_path).wildcards.names == ["jumbo/sea"]
