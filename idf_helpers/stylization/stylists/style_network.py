"""A style network that paints every view, and every part of a view, by the same rule.

A feed-forward style network (Johnson et al. 2016; Dumoulin et al. 2017, arXiv:1610.07629; Ghiasi
et al. 2017, arXiv:1705.06830) is a chain of convolutions with instance normalization between them:
each layer takes off the mean over the picture and divides by the deviation. These two are all that
one place of a picture knows of a far one, and all that makes two views of one head come out in
different colors. So the network is run in two ways:

    measure  all key views as one sheet; the means of every layer are read
    paint    one view with those means put in, no longer its own

With fixed means the network is a local function of the pixels: one surface point looks nearly
alike in all views, and a picture can be painted in parts whose borders nobody finds, at any size
and in bounded memory. Files that ask for one size (384 x 384) are made to take any; nothing in
them depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import IdfError
from ...swapping.neural.onnx_file import open_session

STEP = 4  # the networks halve a picture twice
PART = 512  # pixels; a part that is painted at once, without its margin
MARGIN = 72  # pixels; nothing farther than 64 has a part in a painted pixel, see the test
SHEET = 1_500_000  # pixels that are measured at once: at most 0.6 GB in the network
MEANS = ("GlobalAveragePool", "ReduceMean")


class StyleNetwork:
    """One file. Its picture is (1, H, W, 3) or (1, 3, H, W) float32 in [0, 1], its other input says
    how to paint; its answer has the picture's layout and size.

    IdfError: no such file, not ONNX, other inputs, no onnx or onnxruntime.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._measuring, self._names = self._opened(fixed=False)
        self._painting, _ = self._opened(fixed=True)
        inputs = self._measuring.get_inputs()
        self._picture, self._style = inputs[0].name, inputs[1].name
        self._planes = inputs[0].shape[1] == 3
        self._shape = [1 if isinstance(n, str) else n for n in inputs[1].shape]

    def measure(self, pictures: Sequence[np.ndarray], style: np.ndarray) -> dict[str, np.ndarray]:
        """Return the means of every layer over pictures of one size, (H, W, 3) float32 in [0, 1].

        Where they are more than SHEET pixels together, as many as fit are taken, evenly spread, at
        least two, then smaller.
        """
        from ..stylist import scaled

        h, w = pictures[0].shape[:2]
        count = min(len(pictures), max(2, SHEET // (h * w)))
        chosen = [pictures[i] for i in np.linspace(0, len(pictures), count, endpoint=False)
                  .astype(int)]
        if (share := SHEET / (count * h * w)) < 1:
            h, w = int(h * share ** 0.5), int(w * share ** 0.5)
            chosen = [scaled(p, w, h) for p in chosen]
        columns = next(c for c in range(int(count ** 0.5), 0, -1) if count % c == 0)
        sheet = np.concatenate([np.concatenate(chosen[i:i + columns], 1)
                                for i in range(0, count, columns)])
        _, *means = self._run(self._measuring, _in_steps(sheet), style, {})
        return dict(zip(self._names, means, strict=True))

    def paint(self, picture: np.ndarray, style: np.ndarray, means: dict[str, np.ndarray]
              ) -> np.ndarray:
        """Return (H, W, 3) float32 in [0, 1]: the picture as the style and the means have it."""
        h, w = picture.shape[:2]
        whole = _in_steps(picture)
        out = np.empty_like(whole)
        for top in range(0, whole.shape[0], PART):
            for left in range(0, whole.shape[1], PART):
                y, x = max(0, top - MARGIN), max(0, left - MARGIN)
                part = whole[y:top + PART + MARGIN, x:left + PART + MARGIN]
                painted = self._run(self._painting, part, style, means)[0]
                inner = painted[top - y:top - y + PART, left - x:left - x + PART]
                out[top:top + PART, left:left + PART] = inner
        return np.clip(out[:h, :w], 0, 1)

    def _run(self, session, picture, style, means) -> list[np.ndarray]:
        """Run on one (H, W, 3) picture; the painted one first, in the same layout."""
        batch = picture.transpose(2, 0, 1)[None] if self._planes else picture[None]
        feed = {self._picture: np.ascontiguousarray(batch, np.float32),
                self._style: np.asarray(style, np.float32).reshape(self._shape), **means}
        painted, *rest = session.run(None, feed)
        return [painted[0].transpose(1, 2, 0) if self._planes else painted[0], *rest]

    def _opened(self, fixed: bool):
        """Return a session, and the names of the means: more outputs of it, or more inputs."""
        model = _loaded(self.path)
        graph = model.graph
        for value in (*graph.input, *graph.output):
            sizes = value.type.tensor_type.shape.dim
            planes = len(sizes) == 4 and sizes[1].dim_value == 3
            if len(sizes) == 4 and (planes or sizes[3].dim_value == 3):
                for d, letter in zip(sizes[2:] if planes else sizes[1:3], "hw", strict=True):
                    d.dim_param = letter
        del graph.value_info[:]  # sizes of what lies between, of the one size
        nodes = [n for n in graph.node if n.op_type in MEANS]
        value = _unshaped()
        for node in nodes:
            if fixed:
                graph.node.remove(node)
            (graph.input if fixed else graph.output).append(value(node.output[0]))
        session = open_session(self.path, model.SerializeToString())
        inputs = session.get_inputs()
        first = inputs[0].shape if inputs else []
        count = len(inputs) - (len(nodes) if fixed else 0)
        if count != 2 or len(first) != 4 or 3 not in (first[1], first[3]):
            raise IdfError(f"The file {self.path} is not a style network",
                           ", ".join(f"{i.name} {i.shape}" for i in inputs[:4]) or "no inputs",
                           "wanted two inputs, a picture and a style: idf download neural_style")
        return session, [n.output[0] for n in nodes]


def _loaded(path: Path):
    """Return the parsed file; IdfError where it is none, or a package is missing."""
    try:
        import onnx
    except ImportError:
        raise IdfError("Style networks are read by onnx, which is not installed", "",
                       "pip install onnx onnxruntime") from None
    if not path.is_file():
        raise IdfError(f"The ONNX file {path} does not exist", "no such file",
                       "idf download neural_style")
    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors share no class with Python's
        raise IdfError(f"{path} cannot be opened as an ONNX file", f"{error}"[:200],
                       "fetch it again: idf download neural_style") from None


def _unshaped():
    """Return a function: name -> a float value of any shape, for a graph's inputs and outputs."""
    import onnx

    return lambda name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)


def _in_steps(picture: np.ndarray) -> np.ndarray:
    """Return the picture with mirrored rows and columns up to multiples of STEP."""
    h, w = picture.shape[:2]
    return np.pad(picture, ((0, -h % STEP), (0, -w % STEP), (0, 0)), mode="symmetric")
