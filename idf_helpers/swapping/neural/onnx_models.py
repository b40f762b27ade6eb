"""The table of ONNX face swappers: what each file wants of a face, and under which license it is.

A row of your own: the same fields as a JSON file, with paths relative to it, named as
`--backend onnx:ROW.json`:

    {"name": "mine", "file": "mine.onnx", "template": "arcface_128", "size": 128,
     "source": "emap", "license": "for research only"}

Every file takes two inputs, `source` and `target`, and gives one picture: float32 RGB in planes,
(1, 3, size, size). Values of the table: facefusion 3.8.1 (33cc6b40), face_swapper/core.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from ...errors import IdfError, shorten
from ...runtime.files import read_json

ASSETS = "https://github.com/facefusion/facefusion-assets/releases/download"
TEMPLATE_NAMES = ("arcface_112_v1", "arcface_112_v2", "arcface_128", "ffhq_512", "mtcnn_512")
# What `source` is. e = embedding (512,) of the recognizer, c = converter's output for it:
#   raw e    normed e / |e|    converted c    converted_normed c / |c|
#   emap (e @ last initializer of the file) / |e|    image a crop of the source photo, 0 to 1
SOURCES = ("raw", "normed", "converted", "converted_normed", "emap", "image")


@dataclass(frozen=True)
class OnnxModel:
    """One swapper.

    file: its ONNX file: a name in the cache ("" tag) or a path. tag: release of facefusion-assets
    that holds it, "" = a file of the user's. template, size: of the crop, pixels. mean, std: of
    the input, (x - mean) / std with x in [0, 1]. restore: whether the output is in these units
    too, else in [0, 1]. source: one of SOURCES. converter: ONNX file, "" = none; converter_tag: as
    tag. source_template, source_size: of the crop where source is "image". recognizer: ONNX file
    for embeddings, "" = the download `arcface`. license: of the weights.
    """

    name: str
    file: str
    template: str
    size: int
    source: str
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    restore: bool = False
    converter: str = ""
    converter_tag: str = ""
    source_template: str = ""
    source_size: int = 0
    recognizer: str = ""
    tag: str = ""
    license: str = "unknown"
    summary: str = ""

    @property
    def needs_embedding(self) -> bool:
        return self.source != "image"

    @property
    def backend(self) -> str:
        """Its name on the command line, and that of its download."""
        return f"onnx:{self.name}"

    def checked(self) -> OnnxModel:
        """Return itself; IdfError naming the field that cannot be."""
        image = self.source == "image"
        faults = [what for wrong, what in (
            (not self.name or not set(self.name) <= _NAME, f"name {self.name!r}"),
            (not self.file, "no file"),
            (self.template not in TEMPLATE_NAMES, f"template {self.template!r}"),
            (not 32 <= self.size <= 1024, f"size {self.size}"),
            (self.source not in SOURCES, f"source {self.source!r}"),
            (len(self.mean) != 3 or len(self.std) != 3 or 0 in self.std, "mean or std"),
            (self.source.startswith("converted") != bool(self.converter), "converter"),
            (image and (self.source_template not in TEMPLATE_NAMES
                        or not 32 <= self.source_size <= 1024), "source_template or source_size"),
        ) if wrong]
        if faults:
            raise IdfError(f"The row of the ONNX model {self.name!r} cannot be used",
                           shorten(faults, 8),
                           f"templates: {', '.join(TEMPLATE_NAMES)}; sources: {', '.join(SOURCES)}")
        return self


_NAME = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_NON_COMMERCIAL = "non-commercial"
_EMBED = "its embeddings come from the non-commercial recognizer `arcface`"


def _ghost(n: int) -> OnnxModel:
    return OnnxModel(f"ghost_{n}", f"ghost_{n}_256.onnx", "arcface_112_v1", 256, "converted",
                     *_HALF, True, "crossface_ghost.onnx", "models-3.4.0", tag="models-3.0.0",
                     license=f"Apache-2.0, but {_EMBED}", summary=f"GHOST, {n} blocks, 256 pixels")


def _hyperswap(letter: str) -> OnnxModel:
    return OnnxModel(f"hyperswap_1{letter}", f"hyperswap_1{letter}_256.onnx", "arcface_128", 256,
                     "normed", *_HALF, True, tag="models-3.3.0",
                     license="ResearchRAIL (research only)",
                     summary=f"HyperSwap 1{letter}, 256 pixels")


MODELS: dict[str, OnnxModel] = {m.name: m.checked() for m in (
    _ghost(1), _ghost(2), _ghost(3),
    OnnxModel("inswapper", "inswapper_128.onnx", "arcface_128", 128, "emap", tag="models-3.0.0",
              license=_NON_COMMERCIAL, summary="InsightFace's swapper, 128 pixels"),
    _hyperswap("a"), _hyperswap("b"), _hyperswap("c"),
    OnnxModel("simswap", "simswap_256.onnx", "arcface_112_v1", 256, "converted_normed",
              (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False, "crossface_simswap.onnx",
              "models-3.4.0", tag="models-3.0.0", license=_NON_COMMERCIAL,
              summary="SimSwap, 256 pixels"),
    OnnxModel("simswap_512", "simswap_unofficial_512.onnx", "arcface_112_v1", 512,
              "converted_normed", converter="crossface_simswap.onnx",
              converter_tag="models-3.4.0", tag="models-3.0.0", license=_NON_COMMERCIAL,
              summary="SimSwap, unofficial, 512 pixels"),
    OnnxModel("blendswap", "blendswap_256.onnx", "ffhq_512", 256, "image",
              source_template="arcface_112_v2", source_size=112, tag="models-3.0.0",
              license=_NON_COMMERCIAL, summary="BlendSwap, 256 pixels"),
    OnnxModel("uniface", "uniface_256.onnx", "ffhq_512", 256, "image", *_HALF, True,
              source_template="ffhq_512", source_size=256, tag="models-3.0.0",
              license="unknown", summary="UniFace, 256 pixels"),
    OnnxModel("hififace", "hififace_unofficial_256.onnx", "mtcnn_512", 256, "converted_normed",
              *_HALF, True, "crossface_hififace.onnx", "models-3.4.0", tag="models-3.1.0",
              license="unknown", summary="HifiFace, unofficial, 256 pixels"),
)}


def read_row(path) -> OnnxModel:
    """Return a row from a JSON file; its paths are relative to that file's folder. IdfError where a
    field cannot be, and for unknown or lacking fields."""
    path = Path(path)
    data = read_json(path, "row of an ONNX model")
    known = {f.name for f in fields(OnnxModel)} - {"tag", "converter_tag"}
    wanted = {"name", "file", "template", "size", "source"}
    if not isinstance(data, dict) or set(data) - known or wanted - set(data):
        found = type(data).__name__ if not isinstance(data, dict) else "; ".join(filter(None, (
            ", ".join(f"unknown {k}" for k in sorted(set(data) - known)),
            ", ".join(f"no {k}" for k in sorted(wanted - set(data))))))
        raise IdfError(f"{path} is not the row of an ONNX model", found,
                       f"fields: {', '.join(sorted(known))}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    for key in ("file", "converter", "recognizer"):
        if values.get(key):
            values[key] = str(path.parent / str(values[key]))
    try:
        return OnnxModel(**values).checked()
    except (TypeError, AttributeError) as error:
        raise IdfError(f"{path} is not the row of an ONNX model", str(error)[:200],
                       f"fields: {', '.join(sorted(known))}") from None
