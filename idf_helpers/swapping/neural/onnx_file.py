"""ONNX files: opened with checks, run by onnxruntime; one array read out of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import IdfError, shorten

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Slot:
    """An input as a network must have it. shape: sizes, None where any will do."""

    name: str
    shape: tuple[int | None, ...]


class OnnxNet:
    """One file, opened at the first call; picklable, one instance may be shared by threads.

    path: the file. wants: its inputs; one whose name is "" may be called anything.
    """

    def __init__(self, path, wants: tuple[Slot, ...]):
        self.path, self.wants = Path(path), wants
        self._session = None
        self._lock = threading.Lock()

    def __getstate__(self):
        return {"path": self.path, "wants": self.wants}

    def __setstate__(self, state):
        self.__init__(**state)

    @property
    def provider(self) -> str:
        """Where it runs: "CPUExecutionProvider", "CUDAExecutionProvider". Opens the file."""
        return self.open().get_providers()[0]

    def open(self):
        """Return the session. IdfError: no onnxruntime, no file, not ONNX, data outside its folder,
        other inputs than `wants`."""
        with self._lock:
            if self._session is None:
                session = open_session(self.path)
                self._inputs = _match(self.path, session, self.wants)
                self._session = session
            return self._session

    def __call__(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """values: by the names of `wants`. Returns the first output as float32. IdfError where it
        is not finite (half precision on some processors)."""
        session = self.open()
        feed = {}
        for name, value in values.items():
            real, dtype = self._inputs[name]
            feed[real] = np.ascontiguousarray(value, dtype)
        out = np.asarray(session.run(None, feed)[0], np.float32)
        if not np.isfinite(out).all():
            raise IdfError(f"The network {self.path.name} gave NaN or infinity",
                           f"on {session.get_providers()[0]}",
                           "use its full-precision (fp32) file")
        return out


def open_session(path, model: bytes | None = None):
    """Return an onnxruntime session, on the GPU where that works. IdfError as `OnnxNet.open`.

    model: what the file's content was made into, where it is not to be run as it is.
    """
    try:
        import onnxruntime
    except ImportError:
        raise IdfError("ONNX files are run by onnxruntime, which is not installed", "",
                       "pip install onnxruntime (with an NVIDIA GPU: onnxruntime-gpu)") from None
    path = Path(path)
    if not path.is_file():
        raise IdfError(f"The ONNX file {path} does not exist", "no such file",
                       "give the path of a file that exists")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; a warning says that constants may be folded
    there = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in there]
    try:
        return onnxruntime.InferenceSession(model or str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no class of their own
        said = " ".join(str(error).split())
        if "external" in said.lower():
            raise IdfError(f"The ONNX file {path} keeps its weights in another file that cannot be "
                           "used", said[:300],
                           "external data must lie in the folder of the .onnx file") from None
        raise IdfError(f"{path} cannot be opened as an ONNX file", said[:300],
                       "fetch it again, or use the file that the table names") from None


def _match(path, session, wants):
    """name -> (name in the file, dtype); IdfError where the inputs are others."""
    have = session.get_inputs()
    found = shorten((f"{i.name} {tuple(i.shape)} {i.type}" for i in have), 6) or "none"
    asked = ", ".join(f"{w.name or '(any name)'} {w.shape}" for w in wants)
    wrong = IdfError(f"The network {path} has other inputs than its row in the table", found,
                     f"wanted: {asked}")
    names = {w.name or have[0].name: w for w in wants} if have else {}
    if len(have) != len(wants) or {i.name for i in have} != set(names):
        raise wrong
    out = {}
    for i in have:
        want = names[i.name]
        if i.type not in _TYPES or len(i.shape) != len(want.shape):
            raise wrong
        for size, wanted in zip(i.shape, want.shape, strict=True):
            if isinstance(size, int) and wanted is not None and size != wanted:
                raise wrong
        out[want.name] = (i.name, _TYPES[i.type])
    return out


def last_initializer(path) -> np.ndarray:
    """Return the last constant of an ONNX file's graph, float32: InSwapper keeps the matrix there
    that its embeddings are multiplied with.

    IdfError where there is none, or it is kept in another file.
    """
    import onnx

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
        return onnx.numpy_helper.to_array(graph.initializer[-1]).astype(np.float32)
    except Exception as error:  # protobuf's errors share no class with Python's
        raise IdfError(f"The ONNX file {path} holds no matrix for embeddings",
                       str(error)[:200] or "no constant in its graph",
                       "use the file that the table names") from None
