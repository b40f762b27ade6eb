"""The two chunks of a binary glTF 2.0 file (`.glb`): arrays become buffer views and accessors.

Khronos glTF 2.0, §3.6 (buffers, views, accessors) and §4 (the container).
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

GLB_MAGIC, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
FLOAT, UNSIGNED_SHORT, UNSIGNED_INT = 5126, 5123, 5125  # component types
ARRAY, ELEMENTS = 34962, 34963  # targets of a buffer view
COMPONENTS = {np.dtype("<f4"): FLOAT, np.dtype("<u2"): UNSIGNED_SHORT, np.dtype("<u4"):
              UNSIGNED_INT}


class Buffer:
    """Collects the arrays of one file."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    @property
    def data(self) -> bytes:
        """All of it, a multiple of four bytes."""
        return b"".join(self._parts)

    def view(self, data: bytes, target: int | None = None) -> int:
        """Add bytes as they are, such as a picture's; return the number of their view."""
        self.views.append({"buffer": 0, "byteOffset": self._size, "byteLength": len(data)}
                          | ({} if target is None else {"target": target}))
        self._parts.append(data + b"\0" * (-len(data) % 4))
        self._size += len(self._parts[-1])
        return len(self.views) - 1

    def add(self, values: np.ndarray, kind: str, *, target: int | None = None,
            bounds: bool = False, normalized: bool = False) -> int:
        """Add an array, (N, components of `kind`), floats as float32; return its accessor.

        kind: SCALAR, VEC2, VEC3 or VEC4. target: ARRAY for vertices, ELEMENTS for indices, None
        for what is neither. bounds: write the smallest and largest values, which positions and
        times must have. normalized: integers stand for [0, 1].
        """
        values = np.ascontiguousarray(values, "<f4" if values.dtype.kind == "f" else None)
        accessor = {"bufferView": self.view(values.tobytes(), target), "count": len(values),
                    "componentType": COMPONENTS[values.dtype], "type": kind}
        if bounds:
            rows = values.reshape(len(values), -1)
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        self.accessors.append(accessor | ({"normalized": True} if normalized else {}))
        return len(self.accessors) - 1

    def indices(self, triangles: np.ndarray) -> int:
        """Add (T, 3) indices of vertices; return their accessor."""
        return self.add(np.asarray(triangles, "<u4").reshape(-1), "SCALAR", target=ELEMENTS)

    def pack(self, scene: dict[str, Any]) -> bytes:
        """Return the file of a scene, whose accessors, views and buffer are filled in."""
        data = self.data
        scene = scene | {"accessors": self.accessors, "bufferViews": self.views,
                         "buffers": [{"byteLength": len(data)}]}
        text = json.dumps(scene, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + len(data)
        return (struct.pack("<III", GLB_MAGIC, 2, size)
                + struct.pack("<II", len(text), JSON_CHUNK) + text
                + struct.pack("<II", len(data), BINARY_CHUNK) + data)
