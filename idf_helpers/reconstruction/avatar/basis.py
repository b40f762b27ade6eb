"""An avatar on disk and for viewers: neutral Gaussians and a linear basis of changes.

    Gaussians(e) = neutral + sum_k w_k delta_k,   w = (e - e_neutral) W

with e (E,) the expression and W (E, K) low-rank. One array expression per parameter, so that a
page or a widget can do it on the client: neutral splats and K bases are sent once.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...data.cameras import Camera
from ...errors import IdfError, shorten
from ...runtime.files import write_bytes
from ...runtime.npz import read_arrays
from ...runtime.safe_json import parse_record
from ..splats.gaussians import Gaussians

FORMAT = 1
FILE = "avatar.npz"  # in a run folder
PARTS = ("means", "log_scales", "quats", "opacity_logits", "sh")
SIDES = (("_L", "_R"), ("Left", "Right"))


@dataclass(frozen=True, eq=False)
class ExpressionBasis:
    """From the E values of an expression to the K weights of the basis.

    names: E names, from the dataset, else "e0", "e1", …
    weights: (E, K) float32; w = (expression - neutral) @ weights.
    details: (D, K) float32, the same for what a picture shows of an expression beyond its names,
        see `avatar.details`; D numbers behind the E named ones of an expression, 0 where they are
        not given. D is 0 where the avatar has none.
    mean, low, high: (E,) float32, mean and range of the training expressions.
    neutral: (E,) float32, the face at rest: the training expression of the smallest norm.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    neutral: np.ndarray
    details: np.ndarray | None = None

    def __post_init__(self):
        e = len(self.names)
        if self.weights.ndim != 2 or len(self.weights) != e:
            raise IdfError("This expression basis is damaged", f"weights {self.weights.shape} for "
                           f"{e} names", "delete the run folder and train again")
        if self.details is None:
            object.__setattr__(self, "details", np.zeros((0, self.rank), np.float32))
        elif self.details.ndim != 2 or self.details.shape[1] != self.rank:
            raise IdfError("This expression basis is damaged", f"details {self.details.shape} for "
                           f"{self.rank} bases", "delete the run folder and train again")
        for name in ("mean", "low", "high", "neutral"):
            if getattr(self, name).shape != (e,):
                raise IdfError("This expression basis is damaged",
                               f"`{name}` {getattr(self, name).shape} for {e} names",
                               "delete the run folder and train again")

    @property
    def rank(self) -> int:
        """K."""
        return self.weights.shape[1]

    @property
    def moving(self) -> np.ndarray:
        """(E,) bool: values that changed in training and that the basis answers to."""
        return (self.high - self.low > 1e-6) & (np.abs(self.weights).max(axis=1, initial=0) > 0)

    def expression(self, value=None) -> np.ndarray:
        """Return (E,) float32: None = neutral; a dict of names = `edit`; else E finite numbers as
        given, or E + D with details.

        IdfError: another number of values, NaN or infinity.
        """
        if value is None:
            return self.neutral.copy()
        if isinstance(value, dict):
            return self.edit(value)
        e = np.asarray(value, np.float32).reshape(-1)
        if len(e) not in (len(self.names), len(self.names) + len(self.details)):
            raise IdfError("This expression has another length than the avatar's",
                           f"{len(e)} values, the avatar has {len(self.names)}",
                           "use expressions of the tracker that made the training data")
        if not np.isfinite(e).all():
            raise IdfError("This expression holds NaN or infinity",
                           shorten(self.names[i] if i < len(self.names) else f"value {i}"
                                   for i in np.flatnonzero(~np.isfinite(e))),
                           "give finite numbers")
        return e

    def edit(self, values: dict[str, float], start=None) -> np.ndarray:
        """Return `start` (neutral where None) with the named values set, clamped to the trained
        range.

        A name without its side sets both: "eyeBlink" is "eyeBlink_L" and "eyeBlink_R".
        IdfError: a name that the avatar does not have, or a value that is no finite number.
        """
        out = self.expression(start)
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) \
                    or not np.isfinite(value):
                raise IdfError(f"The value of `{name}` is not a finite number", repr(value)[:40],
                               "give a number, such as 0.6")
            for i in self.indices(name):
                out[i] = value
        return self.clamp(out)

    def indices(self, name: str) -> list[int]:
        """Return the places of a name, of both sides where it is given without. IdfError for none.
        """
        wanted = [(name,), *(tuple(name + side for side in sides) for sides in SIDES)]
        for group in wanted:
            found = [self.names.index(n) for n in group if n in self.names]
            if found:
                return found
        near = [n for n in self.names if name.lower() in n.lower()]
        raise IdfError(f"The avatar has no expression `{name}`",
                       shorten(near or [n for n, m in zip(self.names, self.moving, strict=True)
                                        if m], 6), "use one of its names")

    def clamp(self, expression) -> np.ndarray:
        """Return the values within the trained range: beyond it nothing was seen. Details stay."""
        out = np.array(expression, np.float32)
        out[:len(self.names)] = np.clip(out[:len(self.names)], self.low, self.high)
        return out

    def coefficients(self, expression) -> np.ndarray:
        """Return the (K,) float32 weights of the basis for an expression (E,) or (E + D,)."""
        e, n = np.asarray(expression, np.float32), len(self.names)
        out = (e[:n] - self.neutral) @ self.weights
        if len(e) > n:
            out = out + e[n:] @ self.details
        return out.astype(np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class BlendAvatar:
    """The part of an avatar that a viewer can do by itself.

    gaussians: N of them, at the neutral expression and the reference pose, in the head's frame.
    deltas: by the names of `Gaussians`, leading K: means (K, N, 3), log_scales (K, N, 3),
        quats (K, N, 4), opacity_logits (K, N), sh (K, N, 3) of degree 0.
    still: further Gaussians that no expression moves (the torso, at the reference pose), or None.
    extra: what the renderer needs besides, arrays by name (pose-dependent color, background, …).
    meta: plain values: cameras, resolution, …
    """

    basis: ExpressionBasis
    gaussians: Gaussians
    deltas: dict[str, np.ndarray]
    still: Gaussians | None = None
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    meta: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"BlendAvatar({self.gaussians}, {self.basis.rank} bases)"

    def at(self, expression=None) -> Gaussians:
        """Return the head at an expression: None, E numbers, or named values (see
        `ExpressionBasis`)."""
        w = self.basis.coefficients(self.basis.expression(expression))
        out = {}
        for name, values in self.gaussians.arrays().items():
            change = np.tensordot(w, self.deltas[name], axes=1).astype(np.float32)
            if name == "sh":
                out[name] = values.copy()
                out[name][:, 0] += change
            else:
                out[name] = values + change
        return Gaussians(**out)

    def frozen(self, expression=None) -> Gaussians:
        """Return `at` with the still part appended: one splat model at one expression."""
        head = self.at(expression)
        return head if self.still is None else head.joined(self.still)

    # --- on disk ----------------------------------------------------------------------------------

    def save(self, path) -> None:
        """Write one versioned npz, atomically."""
        arrays = {f"basis.{n}": getattr(self.basis, n)
                  for n in ("weights", "mean", "low", "high", "neutral")}
        arrays |= {f"neutral.{n}": a for n, a in self.gaussians.arrays().items()}
        arrays |= {f"delta.{n}": a for n, a in self.deltas.items()}
        if self.still is not None:
            arrays |= {f"still.{n}": a for n, a in self.still.arrays().items()}
        arrays |= {f"extra.{n}": a for n, a in self.extra.items()}
        if len(self.basis.details):  # beside the format's: earlier versions read the rest
            arrays["extra.details"] = self.basis.details
        head = {"format": FORMAT, "kind": "blend avatar", "names": list(self.basis.names),
                "meta": self.meta}
        arrays["__head__"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path) -> BlendAvatar:
        """Return the avatar of an npz, or of the run folder that holds it. IdfError: missing,
        damaged, or of a newer version."""
        path = Path(path)
        path = path / FILE if path.is_dir() else path
        if not path.is_file():
            raise IdfError(f"{path} does not exist", "no avatar there",
                           "give the folder named with --out when `idf avatar` ran")
        try:
            arrays = read_arrays(path, {"__head__": "u1 H"}, "avatar",
                                 "delete the run folder and train again")
            head = parse_record(arrays.pop("__head__").tobytes(),
                                {"kind": str, "format": int, "names": list, "meta": dict},
                                f"The head of the avatar {path}")
            if head["kind"] != "blend avatar":
                raise ValueError("another kind of file")
            if not all(isinstance(n, str) for n in head["names"]):
                raise ValueError("names that are no text")
            if head["format"] > FORMAT:
                raise IdfError(f"The avatar {path} was written by a newer version",
                               f"format {head['format']}, this one reads {FORMAT}",
                               "update the program")
            parts: dict[str, dict] = {"still": {}, "extra": {}}
            for key, value in arrays.items():
                part, name = key.split(".", 1)
                parts.setdefault(part, {})[name] = value
            basis = ExpressionBasis(tuple(head["names"]), **parts["basis"],
                                    details=parts["extra"].pop("details", None))
            neutral = Gaussians(**parts["neutral"]).checked()
            deltas = {n: _delta(parts["delta"][n], n, basis.rank, len(neutral)) for n in PARTS}
            still = Gaussians(**parts["still"]).checked() if parts["still"] else None
            return cls(basis, neutral, deltas, still, parts["extra"], head["meta"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise IdfError(f"The avatar {path} is damaged",
                           f"{type(error).__name__}: {error}"[:160],
                           "delete the run folder and train again") from None


def _delta(values: np.ndarray, name: str, k: int, n: int) -> np.ndarray:
    shape = {"means": (k, n, 3), "log_scales": (k, n, 3), "quats": (k, n, 4),
             "opacity_logits": (k, n), "sh": (k, n, 3)}[name]
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"delta.{name} {values.shape}, expected {shape} finite numbers")
    return np.ascontiguousarray(values, np.float32)


# --- cameras as plain values ----------------------------------------------------------------------

def camera_values(camera: Camera) -> dict:
    """Return a camera for `meta`."""
    return {"c2w": np.asarray(camera.c2w).tolist(), "fx": camera.fx, "fy": camera.fy,
            "cx": camera.cx, "cy": camera.cy, "width": camera.width, "height": camera.height,
            **({} if camera.front is None else {"front": np.asarray(camera.front).tolist()})}


def camera_from(values: dict) -> Camera:
    front = values.get("front")
    return Camera(np.array(values["c2w"], np.float64), *(values[k] for k in
                  ("fx", "fy", "cx", "cy", "width", "height")),
                  None if front is None else np.array(front, np.float64))
