"""Control networks beside a model's folder: listed before those of a library."""

from helpers import tiny_controls as tiny
from safetensors.torch import save_file

from sdnb.engine.networks.t2i_adapter import T2IAdapter
from sdnb.library import Library, control_nets, own_nets


def test_a_models_own_nets_are_listed_before_the_librarys(tmp_path, cache):
    names = ("model/control/sketch/diffusion_pytorch_model", "nets/line", "nets/sketch")
    for name in names:
        path = tmp_path / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(T2IAdapter(tiny.FULL).state_dict(), path)
    own, library = own_nets.beside(tmp_path / "model"), Library(tmp_path / "nets")
    listed = control_nets(own, library)
    assert [(file.name, file.folder) for file in listed] == [
        ("sketch", tmp_path / "model" / "control"),
        ("line", tmp_path / "nets"),
        ("sketch", tmp_path / "nets"),
    ]
    assert own.find("control", "sketch").why_not == ""
    assert own_nets.beside(tmp_path / "nets") is None
    assert control_nets(None, None) == []
