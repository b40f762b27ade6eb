"""Style networks of a few kB with the signatures and the reach of the real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import helper

from idf_helpers.runtime.files import sha256_file
from idf_helpers.stylization.stylists import neural_files
from tests.swapping.neural.tiny_onnx import save

F = np.float32


def _conv(x: str, out: str, k: int, stride: int = 1) -> list:
    """Means of k x k pixels of each channel, mirrored at the borders."""
    pad = k // 2
    return [helper.make_node("Pad", [x, f"pad_{pad}"], [f"{out}_p"], mode="reflect"),
            helper.make_node("Conv", [f"{out}_p", f"box_{k}"], [out], group=3,
                             strides=[stride] * 2)]


def _chain(x: str) -> tuple[list, str]:
    """The layers of the real networks: 9 x 9, twice half the size, 12 layers, back up, 9 x 9."""
    nodes, at = [], x
    sizes = [(9, 1), (3, 2), (3, 2), *[(3, 1)] * 12]
    for i, (k, stride) in enumerate(sizes):
        nodes += _conv(at, f"down_{i}", k, stride)
        at = f"down_{i}"
    for i, k in enumerate((3, 9)):
        nodes.append(helper.make_node("Resize", [at, "", "twice"], [f"up_{i}"], mode="nearest",
                                      coordinate_transformation_mode="asymmetric",
                                      nearest_mode="floor"))
        nodes += _conv(f"up_{i}", f"wide_{i}", k)
        at = f"wide_{i}"
    return nodes, at


def _constants() -> dict:
    pads = {f"pad_{p}": np.array([0, 0, p, p, 0, 0, p, p]) for p in (1, 4)}
    boxes = {f"box_{k}": np.full((3, 1, k, k), 1 / k ** 2, F) for k in (3, 9)}
    return {**pads, **boxes, "twice": np.array([1, 1, 2, 2], F)}


def _paint(x: str, wide: str, mean: str, color: str, out: str) -> list:
    """out = color + x - 0.5 wide - 0.5 mean: edges stay, the level is the style's."""
    return [helper.make_node("Mul", [wide, "half"], ["soft"]),
            helper.make_node("Mul", [mean, "half"], ["level"]),
            helper.make_node("Sub", [x, "soft"], ["sharp"]),
            helper.make_node("Sub", ["sharp", "level"], ["flat"]),
            helper.make_node("Add", ["flat", color], [out])]


def predict(path: Path) -> Path:
    """A picture's mean color, then zeros."""
    nodes = [helper.make_node("ReduceMean", ["style_image"], ["mean"], axes=[1, 2]),
             helper.make_node("Pad", ["mean", "tail"], ["vector"])]
    return save(path, nodes, {"style_image": [1, 256, 256, 3]}, ("vector", [1, 1, 1, 100]),
                {"tail": np.array([0] * 7 + [97])})


def transform(path: Path) -> Path:
    """Asks for 384 x 384 as the real one does. The level becomes the style's mean color."""
    nodes, wide = _chain("x")
    nodes = [helper.make_node("Transpose", ["content"], ["x"], perm=[0, 3, 1, 2]), *nodes,
             helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
             helper.make_node("Slice", ["vector", "zero", "three", "last"], ["rgb"]),
             helper.make_node("Transpose", ["rgb"], ["color"], perm=[0, 3, 1, 2]),
             *_paint("x", wide, "mean", "color", "y"),
             helper.make_node("Transpose", ["y"], ["painted"], perm=[0, 2, 3, 1])]
    return save(path, nodes, {"content": [1, 384, 384, 3], "vector": [1, 1, 1, 100]},
                ("painted", [1, 384, 384, 3]),
                {**_constants(), "half": F(0.5), "zero": np.array([0]), "three": np.array([3]),
                 "last": np.array([3])})


def fixed(path: Path) -> Path:
    """Style n brings the level to n / 25."""
    nodes, wide = _chain("image")
    nodes += [helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3]),
              helper.make_node("MatMul", ["style_weights", "levels"], ["color"]),
              *_paint("image", wide, "mean", "color", "stylized")]
    return save(path, nodes, {"image": [1, 3, "h", "w"], "style_weights": [26]},
                ("stylized", [1, 3, "h", "w"]),
                {**_constants(), "half": F(0.5), "levels": np.arange(26, dtype=F) / 25})


def install(cache: Path, monkeypatch) -> Path:
    """Write the three as if `idf download neural_style` had brought them; their folder."""
    folder = cache / "neural_style"
    makers = {neural_files.PREDICT: predict, neural_files.TRANSFORM: transform,
              neural_files.FIXED: fixed}
    pins = tuple(replace(p, sha256=sha256_file(makers[p.file](folder / p.file)),
                         size=(folder / p.file).stat().st_size)
                 for p in neural_files.NEURAL_STYLE.pins)
    row = replace(neural_files.NEURAL_STYLE, pins=pins)
    monkeypatch.setattr(neural_files, "NEURAL_STYLE", row)
    monkeypatch.setattr("idf_helpers.stylization.methods.NEURAL_STYLE", row)
    monkeypatch.delenv("IDF_NEURAL_STYLE", raising=False)
    monkeypatch.setenv("IDF_CACHE", str(cache))
    return folder
