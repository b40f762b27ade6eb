"""Downloads of the swap stage: ONNX swappers, their recognizer and converters, and GHOST.

Nobody published SHA-256 hashes of these weights, so they are not pinned (see `pins.NOT_PINNED`).
GHOST's code is: the hashes are those of commit ea23cce.
"""

from __future__ import annotations

from ...runtime.pins import Checkout, ModelFile, Pin, Release
from ...runtime.registry import lacks_modules
from .onnx_models import ASSETS, MODELS, RECOGNIZER

GHOST_COMMIT = "ea23cce2543a5933a22cbe98bb2973b8550a3ba1"
GHOST_CODE, GHOST_BACKBONE = "ghost_code", "ghost_backbone"
GHOST_ENV = "IDF_GHOST"
_SBER = "https://github.com/sberbank-ai/sber-swap/releases/download"


def _converter(name: str) -> str:
    return name.removesuffix(".onnx")


def _onnx_files() -> list[ModelFile]:
    rows = [ModelFile(RECOGNIZER, "tells people apart by a face's embedding (swap, eval)",
                      "non-commercial, InsightFace", Release(f"{ASSETS}/models-3.0.0"),
                      (Pin("arcface_w600k_r50.onnx", "", 0),), commercial=False)]
    for file, tag in {m.converter: m.converter_tag for m in MODELS.values() if m.converter}.items():
        rows.append(ModelFile(_converter(file), "turns an embedding into another network's",
                              "unknown, facefusion-assets", Release(f"{ASSETS}/{tag}"),
                              (Pin(file, "", 0),), commercial=False))
    for m in MODELS.values():
        needs = (RECOGNIZER,) * m.needs_embedding + (_converter(m.converter),) * bool(m.converter)
        rows.append(ModelFile(m.backend, f"swaps faces: {m.summary}", m.license,
                              Release(f"{ASSETS}/{m.tag}"), (Pin(m.file, "", 0),), needs=needs,
                              commercial=False))
    return rows


def _ghost(blocks: int) -> ModelFile:
    file = f"G_unet_{blocks}block{'s' * (blocks > 1)}.pth"
    return ModelFile("ghost" if blocks == 2 else f"ghost_{blocks}block{'s' * (blocks > 1)}",
                     f"swaps faces: GHOST's generator with {blocks} block{'s' * (blocks > 1)}",
                     "Apache-2.0; the terms of its training data are not known",
                     Release(f"{_SBER}/sber-swap-v2.0"), (Pin(file, "", 0, f"weights/{file}"),),
                     GHOST_ENV, (GHOST_CODE, GHOST_BACKBONE), commercial=False)


def _ghost_files() -> list[ModelFile]:
    code = ModelFile(
        GHOST_CODE, "is the code of GHOST's network", "Apache-2.0, ai-forever (sber-swap)",
        Checkout("https://github.com/ai-forever/ghost.git", GHOST_COMMIT, ("network", "LICENSE"),
                 25_126),
        tuple(Pin(file, sha256, size) for file, sha256, size in (
            ("network/AEI_Net.py",
             "5e37fff068eeef340830b24ab187e2028e2cd6fa10574a169913af102b690e9a", 6236),
            ("network/AADLayer.py",
             "aa22a93dfedbc8f9c644fc80013fb94f610091999a65c1a8c8a5f58ed8734eef", 2852),
            ("network/resnet.py",
             "bd898fbedec048e352bb8395c8b982275047c16f0568811d2bcd3c35b695604e", 4681),
            ("LICENSE",
             "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4", 11357))),
        GHOST_ENV)
    backbone = ModelFile(
        GHOST_BACKBONE, "tells people apart (GHOST's ArcFace)",
        "as published with GHOST; the terms of its training data are not known",
        Release(f"{_SBER}/arcface"), (Pin("backbone.pth", "", 0, "arcface_model/backbone.pth"),),
        GHOST_ENV, commercial=False)
    return [code, backbone, _ghost(2), _ghost(1), _ghost(3)]


SWAP_FILES: tuple[ModelFile, ...] = (*_ghost_files(), *_onnx_files())


def lacks_ghost(name: str) -> str | None:
    """What this machine lacks for a variant of GHOST, and the command to get it; imports nothing
    heavy."""
    from ...runtime.download import get, is_present

    if said := lacks_modules(torch="torch")():
        return said
    if not is_present("face_landmarks"):
        return "the face landmark models are not downloaded: idf download face_landmarks"
    if is_present(name):
        return None
    return f"its code and weights ({get(name).license}) are not here: idf download {name}"
