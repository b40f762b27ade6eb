"""A stand-in for a clone of GHOST with tiny weights."""

from dataclasses import replace

import pytest
import torch

from idf_helpers.face.downloads import FACE_LANDMARKS
from idf_helpers.runtime import download
from idf_helpers.runtime.files import sha256_bytes
from idf_helpers.runtime.pins import Pin
from idf_helpers.swapping.neural import ghost_nets
from idf_helpers.swapping.neural.ghost_nets import generator_class, load_nets
from idf_helpers.swapping.neural.iresnet import IResNet
from idf_helpers.swapping.neural.model_files import SWAP_FILES
from tests.swapping.neural import ghost_cases


class SmallIResNet(IResNet):
    def __init__(self):
        super().__init__((1, 1, 1, 1), 2)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A stand-in for the user's clone with weights in it, pins to match, and the recognizer small;
    returns its folder."""
    monkeypatch.setenv("IDF_FACE_MODELS", str(download.path(FACE_LANDMARKS)))
    monkeypatch.setenv("IDF_CACHE", str(tmp_path / "cache"))
    folder = ghost_cases.write_clone(tmp_path / "clone")
    code, backbone = SWAP_FILES["ghost"].needs
    code = replace(code, pins=tuple(Pin(name, sha256_bytes(text.encode()), len(text.encode()))
                                    for name, text in ghost_cases.CODE.items()))
    for name in ("ghost", "ghost_1block", "ghost_3blocks"):
        monkeypatch.setitem(SWAP_FILES, name, replace(SWAP_FILES[name], needs=(code, backbone)))
    monkeypatch.setattr(ghost_nets, "IResNet", SmallIResNet)
    torch.manual_seed(1)
    generator = generator_class(folder)("unet", num_blocks=2, c_id=512)
    with torch.no_grad():
        for block in generator.generator:
            block.fc1.weight.mul_(3)
    for name, net in (("weights/G_unet_2blocks.pth", generator),
                      ("arcface_model/backbone.pth", SmallIResNet())):
        (folder / name).parent.mkdir(exist_ok=True)
        torch.save(net.state_dict(), folder / name)
    load_nets.cache_clear()
    yield folder
    load_nets.cache_clear()
