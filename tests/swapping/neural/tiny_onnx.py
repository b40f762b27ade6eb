"""ONNX files of a few kB with the inputs of real swap networks, whose effect can be foretold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from idf_helpers.swapping.neural.onnx_models import OnnxModel


def save(path: Path, nodes, inputs, output, constants=(), kind=TensorProto.FLOAT) -> Path:
    """inputs: {name: shape}. output: (name, shape). constants: {name: array}."""
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info(n, kind, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(output[0], kind, output[1])],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in dict(constants).items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def swapper(path: Path, size: int, effect: str = "identity", source=(1, 512), last=None) -> Path:
    """effect, on the target in the network's own units: identity; "red": RGB (1, 0, 0); "tell":
    the first three values of the source everywhere; "shift": target + 0.5 tanh(those); "mean": the
    mean color of the source picture. last: a constant of no effect at the end of the list."""
    f = np.float32
    constants = {"zero": f(0), "cut_0": np.array([0]), "cut_3": np.array([3]),
                 "axis": np.array([1]), "planes": np.array([1, 3, 1, 1]), "half": f(0.5),
                 "red": np.array([1, 0, 0], f).reshape(1, 3, 1, 1)}
    flat = [helper.make_node("Mul", ["target", "zero"], ["nothing"])]
    first = [helper.make_node("Slice", ["source", "cut_0", "cut_3", "axis"], ["three"]),
             helper.make_node("Reshape", ["three", "planes"], ["told"])]
    nodes = {
        "identity": [helper.make_node("Identity", ["target"], ["output"])],
        "red": [*flat, helper.make_node("Add", ["nothing", "red"], ["output"])],
        "tell": [*flat, *first, helper.make_node("Add", ["nothing", "told"], ["output"])],
        "shift": [*first, helper.make_node("Tanh", ["told"], ["bent"]),
                  helper.make_node("Mul", ["bent", "half"], ["step"]),
                  helper.make_node("Add", ["target", "step"], ["output"])],
        "mean": [*flat, helper.make_node("ReduceMean", ["source"], ["told"], axes=[2, 3]),
                 helper.make_node("Add", ["nothing", "told"], ["output"])]}[effect]
    if last is not None:
        constants["last"] = np.asarray(last, f)
    return save(path, nodes, {"source": list(source), "target": [1, 3, size, size]},
                ("output", [1, 3, size, size]), constants)


def recognizer(path: Path, seed: int = 0) -> Path:
    """A face's mean colors in 14 x 14 cells, mixed by a random matrix."""
    matrix = np.random.default_rng(seed).normal(0, 1, (588, 512)).astype(np.float32)
    nodes = [helper.make_node("AveragePool", ["face"], ["cells"], kernel_shape=[8, 8],
                              strides=[8, 8]),
             helper.make_node("Flatten", ["cells"], ["flat"]),
             helper.make_node("MatMul", ["flat", "matrix"], ["embedding"])]
    return save(path, nodes, {"face": [1, 3, 112, 112]}, ("embedding", [1, 512]),
                {"matrix": matrix})


def doubling(path: Path) -> Path:
    """A converter: twice the embedding, plus one."""
    nodes = [helper.make_node("Mul", ["input", "two"], ["twice"]),
             helper.make_node("Add", ["twice", "one"], ["output"])]
    return save(path, nodes, {"input": [1, 512]}, ("output", [1, 512]),
                {"two": np.float32(2), "one": np.float32(1)})


def write_row(folder: Path, name: str = "tiny", effect: str = "shift", **fields) -> Path:
    """A swapper, a recognizer and the JSON row that names them; path of the row."""
    size = fields.pop("size", 64)
    source = (1, 512)
    if fields.get("source") == "image":
        source = (1, 3, fields["source_size"], fields["source_size"])
    swapper(folder / "net.onnx", size, effect, source, fields.pop("last", None))
    recognizer(folder / "embed.onnx")
    row = {"name": name, "file": "net.onnx", "template": "arcface_128", "size": size,
           "source": "normed", "recognizer": "embed.onnx", "license": "made by a test", **fields}
    path = folder / "row.json"
    path.write_text(json.dumps(row))
    return path


def model(folder: Path, **fields) -> OnnxModel:
    """The row that `write_row` writes, read back."""
    from idf_helpers.swapping.neural.onnx_models import read_row

    return read_row(write_row(folder, **fields))
