"""The parts of a head in a view: hair, skin, clothes by color and place, the same in all views;
brows, lips, eyes and irises by the points of the face, found in the views that show it and carried
to the others through the head's shape."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..errors import IdfError
from ..face import topology as t
from ..face.color import blur, fill_rings, rgb_to_lab, smoothstep
from .shape import Shape, Surface
from .stylist import View

CROWN = 0.10  # share of a head's height at its top where hair is looked for, if it has any
HEM = 0.08  # share at its lower end where clothes are
FRONTAL = 45.0  # degrees; a face that is turned farther has unsure points
SPREADS = (6.0, 3.0, 3.0)  # least standard deviation of a part's color, in Lab
OTHER = 4.5  # standard deviations from which on a color belongs to none of the parts
HAIR_NEARBY = 0.04  # of the head's height: how far a hairline takes its lightness from
MANY = 4_000  # pixels of a view that colors are learned from
IRIS_RIM = ((1, 2, 3, 4), (6, 7, 8, 9))  # rows of the irises' points
RINGS = {"brows": (t.LEFT_BROW, t.RIGHT_BROW), "lips": (t.OUTER_LIPS,),
         "mouth": (t.INNER_MOUTH,), "eyes": (t.LEFT_EYE, t.RIGHT_EYE),
         "iris": tuple(np.array(rim) + t.POINTS for rim in IRIS_RIM), "face": (t.FACE_OVAL,)}
WIDER = {"brows": 1.25, "iris": 1.08}  # rings that lie inside what they name
PARTS = ("hair", "skin", "cloth")


class Regions:
    """What each pixel of the head belongs to; learned from `views`, IdfError where none shows one.

    shape: of the same views. tones: part -> (5th, 95th) percentile of its lightness in Lab, and its
    median color (3,).
    """

    def __init__(self, views: Sequence[View], shape: Shape):
        self.shape, self.grids = shape, None
        self.colors: dict[str, tuple[np.ndarray, np.ndarray, float]] = {}
        self.tones: dict[str, tuple[float, float, np.ndarray]] = {}
        shown = [(v, shape.surface(v)) for v in views if (v.mask > 0.9).sum() >= 8]
        if not shown:
            raise IdfError("No view shows a head to recolor", f"{len(views)} views",
                           "use pictures with alpha, the head uncut at the top")
        self.points = self._carried_points(views)
        self._learn(shown)
        if shape.volume is not None:
            found = [(on.place, self._by_color(rgb_to_lab(v.source())[on.rows, on.columns], on, v))
                     for v, on in shown]
            self.grids = shape.volume.gathered(found)
        self._tones(shown)

    # --- the face ---------------------------------------------------------------------------------

    def _carried_points(self, views: Sequence[View]) -> np.ndarray | None:
        """Return (478, 3) places of the face's points and irises on the head; None where no view
        shows the face, or the shape is only guessed."""
        if self.shape.volume is None:
            return None
        found = []
        for v in views:
            face = self.shape.face(v)
            if face is None or abs(face.yaw) > FRONTAL or v.camera is None:
                continue
            xy = with_irises(face)
            found.append(self.shape.volume.meet(self.shape.axes.matrix(v.camera), v.camera,
                                                xy[:, 1] - 0.5, xy[:, 0] - 0.5))
        return np.nanmedian(found, axis=0) if found else None

    def _rings(self, view: View, on: Surface, found=None) -> dict[str, np.ndarray]:
        """Return (N,) weights in [0, 1] of what the face's points enclose. found: the face as it is
        seen in this view, in place of the points that all views agree on."""
        h, w = on.size
        none = np.zeros(len(on.rows), np.float32)
        if found is None and self.points is not None and view.camera is not None:
            m, c = self.shape.axes.matrix(view.camera), view.camera
            p = self.points @ m[:, :3].T + m[:, 3]
            xy = np.stack([p[:, 0] / p[:, 2] * c.fx + c.cx, p[:, 1] / p[:, 2] * c.fy + c.cy], 1)
            place = self.points
        else:
            face = found or (self.shape.face(view) if self.shape.volume is None else None)
            if face is None:
                return dict.fromkeys(RINGS, none)
            xy, place = with_irises(face), None
        out = {}
        for name, rings in RINGS.items():
            out[name] = none
            for ring in rings:
                if not np.isfinite(xy[ring]).all():
                    continue
                middle = xy[ring].mean(0)
                shape = middle + WIDER.get(name, 1.0) * (xy[ring] - middle)
                shape = cv2.convexHull(shape.astype(np.float32))[:, 0] if name == "brows" else shape
                inside = fill_rings([shape], h, w)[on.rows, on.columns]
                if place is not None:  # not on the far side of the head
                    center = place[ring].mean(0)
                    reach = 1.5 * np.linalg.norm(place[ring] - center, axis=1).max() + 0.02
                    inside = inside * (np.linalg.norm(on.place - center, axis=1) < reach)
                out[name] = np.maximum(out[name], inside)
        return out

    def _levels(self, view: View, on: Surface) -> dict[str, float] | None:
        """Return heights and widths of the face in the axes of `on.place`; None where it is not
        known."""
        p = self.points
        if p is None:
            face = self.shape.face(view) if self.shape.volume is None else None
            if face is None:
                return None
            # as `shape.guessed` places pixels; all that is seen is in front
            p = np.column_stack([face.xy - 0.5 * np.array(on.size[::-1]), np.full(t.POINTS, -9.0)])
            p = p * (2 / on.height, -2 / on.height, 1)
        return {"brow": float(p[np.concatenate([t.LEFT_BROW, t.RIGHT_BROW]), 1].max()),
                "chin": float(p[t.CHIN, 1]),
                "side": float(p[[t.FACE_LEFT, t.FACE_RIGHT], 2].mean()),
                "middle": float(p[[t.FACE_LEFT, t.FACE_RIGHT], 0].mean()),
                "half": float(abs(p[t.FACE_LEFT, 0] - p[t.FACE_RIGHT, 0]) / 2)}

    # --- colors -----------------------------------------------------------------------------------

    def _learn(self, shown) -> None:
        taken: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
        for v, on in shown:
            lab = rgb_to_lab(v.source())[on.rows, on.columns]
            solid = v.mask[on.rows, on.columns] > 0.9
            low, high = np.percentile(on.place[solid, 1], (0.5, 99.5))
            face = self.shape.face(v)
            seen = face if face is not None and abs(face.yaw) < FRONTAL else None
            rings = self._rings(v, on, seen)
            others = sum(rings[k] for k in ("brows", "lips", "eyes"))
            for part, where in (("hair", on.place[:, 1] > high - CROWN * (high - low)),
                                ("cloth", on.place[:, 1] < low + HEM * (high - low)),
                                ("skin", (rings["face"] > 0.9) & (others < 0.1))):
                pixels = lab[where & solid]
                taken[part].append(pixels[:: max(1, len(pixels) // MANY)])
        for part, pixels in taken.items():
            lab = np.concatenate(pixels)
            if len(lab) >= 8:
                self.colors[part] = _gaussian(lab)
        skin, cloth = self.colors.get("skin"), self.colors.get("cloth")
        if skin and cloth and _distance(cloth[0][None], skin)[0] < 6:
            del self.colors["cloth"]  # a bare neck
        hair = self.colors.get("hair")
        self.alike = bool(hair and cloth and _distance(cloth[0][None], hair)[0] < 12)

    def _by_color(self, lab: np.ndarray, on: Surface, view: View,
                  before: np.ndarray | None = None) -> np.ndarray:
        """Return (N, 3) shares in [0, 1] of `PARTS` by color and place; the rest is something
        else. before: (N, 3) what all views say of the place."""
        density = np.full((len(lab), len(PARTS) + 1), np.exp(-0.5 * OTHER**2), np.float64)
        for k, part in enumerate(PARTS):
            density[:, k] = np.exp(-0.5 * np.minimum(_distance(lab, self.colors[part]), 1e3)) \
                if part in self.colors else 0
        prior = np.ones_like(density)
        level = self._levels(view, on)
        if level is not None:
            x, y, z = on.place.T
            soft = 0.06 * level["half"]
            beside = np.abs(x - level["middle"]) - 1.02 * level["half"]
            front = smoothstep((level["brow"] - y) / (2 * soft)) * smoothstep(0.5 - beside / soft) \
                * smoothstep(0.5 + (z - level["side"] + 0.25 * level["half"]) / soft)
            below = smoothstep((level["chin"] - 0.15 * level["half"] - y) / (4 * soft))
            prior[:, 0] = 1 - front  # neither brows nor a beard
            if self.alike:
                prior[:, 0] *= 1 - below
            prior[:, 2] = below
        if before is not None:
            prior[:, :3] *= 0.02 + before
            prior[:, 3] *= 0.02 + np.clip(1 - before.sum(1), 0, 1)
        density *= prior
        share = density / np.maximum(density.sum(1, keepdims=True), 1e-30)
        return share[:, :3].astype(np.float32)

    def of(self, view: View, on: Surface) -> dict[str, np.ndarray]:
        """Return (N,) float32 weights in [0, 1] of hair, skin, cloth, brows, lips, mouth, eyes,
        iris and face at the pixels of a view; "hairline": how much skin lies around; "hair_light":
        lightness in Lab of the hair there."""
        lab = rgb_to_lab(view.source())[on.rows, on.columns]
        before = None
        if self.grids is not None:
            before = np.stack([self.shape.volume.shared(g, on.place) for g in self.grids], 1)
        share = self._by_color(lab, on, view, before)
        rings = self._rings(view, on)
        covered = np.clip(rings["brows"] + rings["eyes"] + rings["mouth"], 0, 1)
        parts = {p: share[:, k] * (1 - covered) for k, p in enumerate(PARTS)}
        if before is not None:  # specks of its color where no view finds any
            parts["hair"] = parts["hair"] * np.clip(5 * before[:, 0] - 0.5, 0, 1)
        # brows and beard take part in what is done to skin
        inner = np.clip(rings["lips"] + rings["eyes"] + rings["mouth"], 0, 1)
        parts["skin"] = np.maximum(share[:, 1], rings["face"] * (1 - parts["hair"])) * (1 - inner)
        rings["lips"] = rings["lips"] * (1 - rings["mouth"])
        rings["iris"] = rings["iris"] * rings["eyes"]
        around = share[:, 1] if before is None else before[:, 1]
        hairline = smoothstep(4 * around - 0.6)
        parts["hairline"] = hairline
        parts["hair_light"] = self._hair_light(lab, parts["hair"] * (1 - hairline) ** 2, on)
        return parts | rings

    def _hair_light(self, lab: np.ndarray, weight: np.ndarray, on: Surface) -> np.ndarray:
        """Return (N,) lightness in Lab of the hair nearby, of the hair as a whole far from any."""
        whole = float((weight * lab[:, 0]).sum() / max(weight.sum(), 1e-3))
        maps = np.zeros((*on.size, 2), np.float32)
        maps[on.rows, on.columns] = np.stack([weight * lab[:, 0], weight], 1)
        near = blur(maps, HAIR_NEARBY * on.height)[on.rows, on.columns]
        return (near[:, 0] + 0.01 * whole) / (near[:, 1] + 0.01)

    def _tones(self, shown) -> None:
        found: dict[str, list[np.ndarray]] = {}
        shares: dict[str, list[float]] = {}
        for v, on in shown:
            lab = rgb_to_lab(v.source())[on.rows, on.columns]
            for part, weight in self.of(v, on).items():
                if part == "hair_light":
                    continue
                found.setdefault(part, []).append(lab[weight > 0.6])
                shares.setdefault(part, []).append(float((weight > 0.5).mean()))
        self.shares = {part: float(np.mean(s)) for part, s in shares.items()}
        for part, pixels in found.items():
            lab = np.concatenate(pixels)
            if len(lab) >= 8:
                low, high = np.percentile(lab[:, 0], (5, 95))
                self.tones[part] = (float(low), float(max(high, low + 4)), np.median(lab, axis=0))


def with_irises(face) -> np.ndarray:
    """Return (478, 2) pixels of a face's points and irises, NaN for irises that are not known."""
    iris = np.full((t.IRIS_POINTS, 2), np.nan) if face.iris is None else face.iris[:, :2]
    return np.concatenate([face.xy, iris])


def _gaussian(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return mean, inverse covariance and its log volume of the middle of (N, 3) colors."""
    middle = np.median(lab, axis=0)
    spread = np.maximum(1.48 * np.median(np.abs(lab - middle), axis=0), SPREADS)
    kept = lab[(np.abs(lab - middle) < 3 * spread).all(1)]
    cov = np.cov(kept.T) + np.diag(np.square(SPREADS)) if len(kept) > 8 else np.diag(spread**2)
    return middle, np.linalg.inv(cov), float(np.linalg.slogdet(cov)[1])


def _distance(lab: np.ndarray, gaussian) -> np.ndarray:
    """Return (N,) squared Mahalanobis distances."""
    off = lab - gaussian[0]
    return np.einsum("nc,cd,nd->n", off, gaussian[1], off)
