"""Downloads of the swap stage: ONNX swappers, their recognizer and converters, and GHOST.

Nobody published SHA-256 hashes of these weights, so they are not pinned (see `pins.NOT_PINNED`).
GHOST's code is: the hashes are those of commit ea23cce.
"""

from __future__ import annotations

from pathlib import Path

from ...face.downloads import FACE_LANDMARKS
from ...runtime.download import missing
from ...runtime.pins import Checkout, ModelFile, Pin, Release
from ...runtime.registry import lacks_modules
from .onnx_models import ASSETS, MODELS, OnnxModel

GHOST_COMMIT = "ea23cce2543a5933a22cbe98bb2973b8550a3ba1"
GHOST_ENV = "IDF_GHOST"
_SBER = "https://github.com/sberbank-ai/sber-swap/releases/download"


RECOGNIZER = ModelFile(
    "arcface", "tells people apart by a face's embedding (swap, eval)",
    "non-commercial, InsightFace", Release(f"{ASSETS}/models-3.0.0"),
    (Pin("arcface_w600k_r50.onnx", "", 0),), commercial=False)


def _onnx_files() -> list[ModelFile]:
    converters = {m.converter: ModelFile(
        m.converter.removesuffix(".onnx"), "turns an embedding into another network's",
        "unknown, facefusion-assets", Release(f"{ASSETS}/{m.converter_tag}"),
        (Pin(m.converter, "", 0),), commercial=False) for m in MODELS.values() if m.converter}
    rows = [RECOGNIZER, *converters.values()]
    for m in MODELS.values():
        needs = [RECOGNIZER] * m.needs_embedding + [converters.get(m.converter)]
        rows.append(ModelFile(m.backend, f"swaps faces: {m.summary}", m.license,
                              Release(f"{ASSETS}/{m.tag}"), (Pin(m.file, "", 0),),
                              needs=tuple(filter(None, needs)), commercial=False))
    return rows


def _ghost_files() -> list[ModelFile]:
    code = ModelFile(
        "ghost_code", "is the code of GHOST's network", "Apache-2.0, ai-forever (sber-swap)",
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
        "ghost_backbone", "tells people apart (GHOST's ArcFace)",
        "as published with GHOST; the terms of its training data are not known",
        Release(f"{_SBER}/arcface"), (Pin("backbone.pth", "", 0, "arcface_model/backbone.pth"),),
        GHOST_ENV, commercial=False)
    rows = [code, backbone]
    for name, blocks in (("ghost", "2 blocks"), ("ghost_1block", "1 block"),
                         ("ghost_3blocks", "3 blocks")):
        file = f"G_unet_{blocks.replace(' ', '')}.pth"
        rows.append(ModelFile(
            name, f"swaps faces: GHOST's generator with {blocks}",
            "Apache-2.0; the terms of its training data are not known",
            Release(f"{_SBER}/sber-swap-v2.0"), (Pin(file, "", 0, f"weights/{file}"),), GHOST_ENV,
            (code, backbone), commercial=False))
    return rows


SWAP_FILES: dict[str, ModelFile] = {m.name: m for m in (*_ghost_files(), *_onnx_files())}


def lacks_ghost(name: str) -> str | None:
    """Return what this machine lacks for a variant of GHOST, with the command to get it."""
    return lacks_modules(torch="torch")() or missing(FACE_LANDMARKS) or missing(SWAP_FILES[name])


def lacks_onnx(model: OnnxModel) -> str | None:
    """Return what this machine lacks for an ONNX swapper, with the command to get it."""
    packages = {"onnxruntime": "onnxruntime"} | ({"onnx": "onnx"} if model.source == "emap" else {})
    if lack := lacks_modules(**packages)() or missing(FACE_LANDMARKS):
        return lack
    if model.tag:
        return missing(SWAP_FILES[model.backend])
    if model.needs_embedding and not model.recognizer and (lack := missing(RECOGNIZER)):
        return lack
    return None if Path(model.file).is_file() else f"there is no {model.file}"
