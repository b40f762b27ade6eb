"""The linear face model: 468 points that move with an identity and with 53 named expressions.

    V(identity, expression) = rest + sum_i identity_i I_i + sum_k expression_k E_k  (+ T(view))

It was measured, not sculpted: heads of ICT-FaceKit's statistical model (MIT) were drawn, the
landmark model looked at them from known cameras, and what it saw was triangulated (see
assets/face). So a point lies where the landmark model puts it, which is what fits to landmarks
want, and an expression that the landmark model does not see (a squint; gaze, which the irises show)
hardly moves anything here; `FaceModel.seen` lists the others.

On a face that is turned the landmark model is wrong in the same way on every head: cheeks slide
toward the camera, the far brow lags behind. T(view), a cubic in the direction of the camera, is
what that looks like: 2 to 8 mm at 20 to 50 degrees, of which it leaves half. Fits add it, so that
it is not taken for a turn of the head or an expression; the face itself is without it.

Frame: centimeters, x to the head's own left, y up, the face looks to +z; the origin lies inside
the head, about 13 cm behind the tip of the nose. Left (`_L`) and right (`_R`) are the head's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from ..errors import IdfError, shorten
from ..runtime.npz import read_arrays
from .topology import BROW_STRETCHES, POINTS

BUNDLED = Path(__file__).with_name("data") / "face_model.npz"
CENTER = np.array([0.0, 1.2, 1.8])  # cm, middle of the head: where directions are seen from
VIEW_LIMIT = (0.8, 0.42)  # of a direction's x and y: as far as was measured (53 and 25 degrees)
VIEW_ODD = np.array([1, 0, 0, 1, 0, 1, 0, 1, 0], bool)  # terms that change sign in a mirror


@dataclass(frozen=True, eq=False)
class FaceModel:
    """A linear face model; the module describes it.

    rest: (468, 3) float32 cm, the mean neutral face, symmetric.
    identity: (I, 468, 3) float32 cm per unit; coefficients of a population are N(0, 1).
    expression: (E, 468, 3) float32 cm at weight 1; weights lie in [0, 1].
    expression_names: E ARKit-like names, sides as `_L` and `_R`.
    turned: (9, 468, 3) float32 cm, terms of T(view), see `view_terms`.
    signal, noise: (E,) float32 cm: how far a shape moves the points it moves (root mean square of
        the tenth that moves most), and the standard error of the same.
    point_noise: (468,) float32 cm: how far single views put a point from where all views see it.
    brows: (E, 6, 3) float32 cm at weight 1: what the skin itself does under the six
        `topology.BROW_STRETCHES`, where `expression` has what the landmark model makes of it.
    """

    rest: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    expression_names: tuple[str, ...]
    turned: np.ndarray
    signal: np.ndarray
    noise: np.ndarray
    point_noise: np.ndarray
    brows: np.ndarray

    @classmethod
    def load(cls, path: str | Path | None = None) -> FaceModel:
        """Return the bundled model (None; read once), or a file of the same format.

        Raises IdfError for a file that is missing, damaged or of another format.
        """
        return _bundled() if path is None else _read(Path(path))

    @cached_property
    def seen(self) -> tuple[str, ...]:
        """The expressions that landmarks tell apart from noise; the others stay at 0 in fits."""
        return tuple(n for n, s, e in zip(self.expression_names, self.signal, self.noise,
                                          strict=True) if s > max(0.08, 4 * e))

    def vertices(self, identity=None, expression=None) -> np.ndarray:
        """Return (468, 3) float32 cm.

        identity: (up to I,) coefficients, None = the mean. expression: (E,) weights, a dict
        {name: weight}, or None = neutral. Raises IdfError for unknown names and wrong lengths.
        """
        out = self.rest.astype(np.float64)
        if identity is not None:
            c = np.asarray(identity, np.float64).reshape(-1)
            if len(c) > len(self.identity):
                raise IdfError("There are more identity coefficients than modes", f"{len(c)}",
                               f"give at most {len(self.identity)}")
            out = out + np.tensordot(c, self.identity[:len(c)], 1)
        if expression is not None:
            out = out + np.tensordot(self.weights(expression), self.expression, 1)
        return out.astype(np.float32)

    def displacement(self, pose) -> np.ndarray:
        """Return (468, 3) float64 cm: T(view), how the landmark model sees any face displaced under
        a head-to-camera pose (4, 4), OpenGL axes; to be added to its vertices."""
        return np.tensordot(view_terms(toward(pose)), self.turned, 1)

    def weights(self, expression) -> np.ndarray:
        """Return (E,) float64 weights of a dict {name: weight} or of a vector of E numbers.

        Raises IdfError for unknown names and wrong lengths.
        """
        if isinstance(expression, dict):
            unknown = [n for n in expression if n not in self.expression_names]
            if unknown:
                raise IdfError("The face model has no such expression", shorten(unknown),
                               "it has " + ", ".join(self.expression_names))
            return np.array([float(expression.get(n, 0.0)) for n in self.expression_names])
        w = np.asarray(expression, np.float64).reshape(-1)
        if len(w) != len(self.expression_names):
            raise IdfError("An expression has another length than the face model's",
                           f"{len(w)}", f"give {len(self.expression_names)} weights")
        return w

    @cached_property
    def rigid_weights(self) -> np.ndarray:
        """(468,) float64 in (0, 1]: how much each point shows of the head's pose whatever the face
        does: 1 / (noise^2 + what expressions move it by^2), the best point 1."""
        moved = np.sqrt((self.expression.astype(np.float64) ** 2).sum(2).mean(0))
        w = 1 / (self.point_noise.astype(np.float64) ** 2 + moved**2)
        return w / w.max()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `load` reads; half floats carry the modes to 0.001 cm."""
        return {"rest": self.rest.astype(np.float32),
                "identity": self.identity.astype(np.float16),
                "expression": self.expression.astype(np.float16),
                "expression_names": np.array(self.expression_names),
                "turned": self.turned.astype(np.float16),
                "brows": self.brows.astype(np.float16),
                **{k: getattr(self, k).astype(np.float32)
                   for k in ("signal", "noise", "point_noise")}}


def toward(pose) -> np.ndarray:
    """Return (3,) cm from the middle of the head to the camera, in the head's frame; pose: (4, 4)
    head to camera."""
    return -pose[:3, :3].T @ pose[:3, 3] - CENTER


def view_terms(direction) -> np.ndarray:
    """Return (..., 9) x, y, x^2, xy, y^2, x^3, x^2 y, x y^2, y^3 of the direction to the camera.

    direction: (..., 3) in the head's frame, of any length; made a unit vector and kept within what
    was measured.
    """
    d = np.asarray(direction, np.float64)
    d = d / np.linalg.norm(d, axis=-1, keepdims=True)
    x, y = (np.clip(d[..., k], -VIEW_LIMIT[k], VIEW_LIMIT[k]) for k in (0, 1))
    return np.stack([x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3], -1)


@cache
def _bundled() -> FaceModel:
    return _read(BUNDLED)


def _read(path: Path) -> FaceModel:
    try:
        data = read_arrays(path, {"expression_names": "U E"}, "face model",
                           "give a file made by assets/face/make_face_model.py")
        names = tuple(str(n) for n in data.pop("expression_names"))
        model = FaceModel(expression_names=names,
                          **{k: np.asarray(v, np.float32) for k, v in data.items()})
    except (ValueError, TypeError) as error:
        raise IdfError(f"{path} is not a face model", str(error)[:160] or type(error).__name__,
                       "give a file made by assets/face/make_face_model.py") from None
    e, i = len(names), model.identity.shape[0] if model.identity.ndim else 0
    wanted = {"rest": (POINTS, 3), "identity": (i, POINTS, 3), "expression": (e, POINTS, 3),
              "turned": (9, POINTS, 3), "signal": (e,), "noise": (e,), "point_noise": (POINTS,),
              "brows": (e, len(BROW_STRETCHES), 3)}
    for key, shape in wanted.items():
        found = getattr(model, key)
        if found.shape != shape or not np.isfinite(found).all():
            raise IdfError(f"`{key}` of the face model {path} is wrong",
                           f"shape {found.shape}" if found.shape != shape else "NaN or infinity",
                           f"expected finite numbers of shape {shape}")
    return model
