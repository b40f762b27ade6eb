"""What a perfect swap gives: a head that wears another's face. Needs numpy and scipy, no Blender.

`IdealPack` is a head pack with identities such as "B_on_A": head A, its hair, ears, neck,
complexion and expression, with the face of B:

- shape: B's neutral face, set by a similarity where A's face sits (a face moves to the head, the
  head does not shrink or turn), blends into A's head over the rim of the face;
- brows, stubble, beard shadow, freckles, mottling, lips, eyes: B's. The lips keep their difference
  from the skin;
- complexion: A's. The face stands on A's neck and between A's ears: a skin of another color would
  end in a visible edge, and every method of this program keeps the target's.

Expressions are A's: the same weights of the same 53 shapes.
"""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from pack import HeadPack, to_world
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from idf_helpers.data.cameras import Camera

JOIN = "_on_"
# Of a look: what goes with the face. The rest (tone, redness, gloss, hair, shirt) is the head's.
FACE_KEYS = ("mottle", "freckles", "lipw", "iris", "iris2", "iris3", "brow", "browcol", "browrad",
             "browpaint", "beard", "beardcol", "haircol", "hairpaint")
FACE_DEFAULTS = {"mottle": 0.25, "freckles": 0.0, "beard": 0.0, "browrad": 0.0024}
HEAD_OF_FACE = ("tone", "tone2", "red", "dark", "lid", "lidw", "redmask", "hairkind")
MARGIN = 0.6  # centimeters inside the line of jaw and hair where the face is wholly the other's
RIM = 1.2  # centimeters that the rim of the face is wide at least
SUPERSAMPLE = 4  # of masks


def split(identity: str) -> tuple[str, str]:
    """"B_on_A" -> ("B", "A"): face, head. A plain identity is both."""
    face, _, head = identity.partition(JOIN)
    return face, head or face


class IdealPack(HeadPack):
    """A head pack whose identities may be mixed: "B_on_A" is head A with B's face."""

    @cached_property
    def face_weight(self) -> np.ndarray:
        """(V,) float32: 1 where the face is the other's, 0 on hair, ears, neck, smooth between.

        On the skin by distance along the mesh: w = smoothstep(d_out / (d_in + d_out)), d_in to
        the nearest vertex well inside the line of jaw, temples and hair, d_out to the nearest of
        scalp, ears and neck. What lies behind the skin (eyes, teeth, mouth) goes with the face.
        """
        part, base = self.part("skin"), self.base.astype(np.float64)
        p = base[part.vertex_ids]
        inside = self._signed_distance(p)
        hair = np.maximum(self.mask("scalp_A"), self.mask("scalp_B"))[part.vertex_ids]
        forward = self.skin_normals(base)[part.vertex_ids]
        jaw = self.landmarks(base)[:17]
        below = np.interp(np.abs(p[:, 0]), jaw[8:, 0], jaw[8:, 1])
        core = (inside > MARGIN) & (hair < 0.05) & (forward[:, 1] > -0.75) & (p[:, 2] > 0)
        fixed = (hair > 0.5) | (inside < -3.0) | (p[:, 1] < below - 2.0) | (p[:, 2] < 3.0)
        graph = _edges(part, p)
        d_out = dijkstra(graph, indices=np.flatnonzero(fixed), min_only=True)
        d_in = dijkstra(graph, indices=np.flatnonzero(core & (d_out > RIM)), min_only=True)
        # The mesh of the skin is one piece but for folds of the lips: unreached is face.
        t = np.where(np.isfinite(d_out), d_out / np.maximum(d_in + d_out, 1e-9), 1.0)
        out = np.ones(len(base), np.float32)
        out[part.vertex_ids] = t * t * (3 - 2 * t)
        return out

    def _signed_distance(self, p) -> np.ndarray:
        """(P,) about centimeters from the face's outline, > 0 inside, on the unrolled head.

        The outline: the 17 landmarks of the jaw, then over the forehead at the hairline.
        """
        def unrolled(q):
            return np.stack([np.arctan2(q[:, 0], q[:, 2] + 1.0) * 8.0, q[:, 1]], 1)

        jaw = unrolled(self.landmarks(self.base)[:17])
        side = np.abs(jaw[[0, 16], 0]).mean()
        a = np.linspace(0, np.pi, 19)[1:-1]
        top = np.stack([side * np.cos(a), jaw[0, 1] + (10.2 - jaw[0, 1]) * np.sin(a) ** 0.6], 1)
        outline = np.concatenate([jaw, top]).astype(np.float32)
        return np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), True)
                         for x, y in unrolled(p)])

    def neutral(self, identity: str) -> np.ndarray:
        face, head = split(identity)
        target = super().neutral(head)
        if face == head:
            return target
        source = super().neutral(face)
        w = self.face_weight.astype(np.float64)[:, None]
        # Set where the head's own face is: similarity over all that is wholly face.
        whole = self.face_weight > 0.98
        skin = np.zeros(len(w), bool)
        skin[self.part("skin").vertex_ids] = True
        return target + w * (_onto(source, target, whole & skin) - target)

    def mask(self, name: str) -> np.ndarray:
        return self.face_weight if name == "face" else super().mask(name)

    def look(self, identity: str) -> dict:
        """The head's look; with another's face in it, that face's look as the entry "face"."""
        face, head = split(identity)
        out = super().look(head)
        if face != head:
            other = super().look(face)
            worn = {k: out[k] for k in HEAD_OF_FACE if k in out}
            worn |= FACE_DEFAULTS | {k: other[k] for k in FACE_KEYS if k in other}
            for k in ("lip", "lip2"):
                worn[k] = _relative(other[k], other["tone"], out["tone"])
            out["face"] = worn
        return out

    def strands(self, identity: str) -> dict[str, np.ndarray]:
        """The head's hair, the face's brows and stubble where the skin is the face's; the rest of
        the head's own stubble stays where it is not."""
        face, head = split(identity)
        own = super().strands(head)
        if face == head:
            return own
        out = {k: v for k, v in own.items() if not k.startswith(("brow_", "stubble_"))}
        other = super().strands(face)
        for kind in ("brow", "stubble"):
            pieces = []
            for strands, inner in ((other, True), (own, False)):
                if f"{kind}_tri" in strands:
                    root = self.face_weight[strands[f"{kind}_tri"]].mean(1)
                    keep = (root > 0.5) == inner
                    pieces.append([strands[f"{kind}_{k}"][keep] for k in ("tri", "bary", "local")])
            pieces = [x for x in pieces if len(x[0])]
            if pieces:
                for k, x in zip(("tri", "bary", "local"), zip(*pieces, strict=True), strict=True):
                    out[f"{kind}_{k}"] = np.concatenate(x)
        return out

    def face_mask(self, identity: str, weights: dict[str, float] | None, camera: Camera,
                  distance: float) -> np.ndarray:
        """(H, W) float32: how much of each pixel is the face, from `camera` at `distance`.

        Faces of the mesh are painted from far to near, four times as fine. Hair is not drawn:
        what hangs over the face counts as face.
        """
        v = to_world(self.vertices(identity, weights), distance)
        k = SUPERSAMPLE
        fine = Camera(camera.c2w, camera.fx * k, camera.fy * k, camera.cx * k, camera.cy * k,
                      camera.width * k, camera.height * k)
        xy, depth = fine.project(v)
        names = [str(n) for n in self.core["part_names"]]
        faces = []
        for name in names:
            if name not in ("eyeblend", "eyeocclusion", "lash", "lac"):
                part = self.part(name)
                ends = np.cumsum(part.face_len.astype(int))
                faces += [part.vertex_ids[part.face_flat[e - n:e]]
                          for e, n in zip(ends, part.face_len, strict=True)]
        far = [depth[f].mean() for f in faces]
        out = np.zeros((fine.height, fine.width), np.float32)
        for i in np.argsort(far)[::-1]:
            polygon = np.round(xy[faces[i]] * 16 - 8).astype(np.int32)
            cv2.fillConvexPoly(out, polygon, float(self.face_weight[faces[i]].mean()), shift=4)
        return cv2.resize(out, (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def _edges(part, p) -> coo_matrix:
    """(P, P) graph of a part's edges, weighted by length."""
    start = np.cumsum(part.face_len.astype(int)) - part.face_len
    following = np.arange(1, len(part.face_flat) + 1)
    following[start + part.face_len - 1] = start
    a, b = part.face_flat, part.face_flat[following]
    length = np.linalg.norm(p[a] - p[b], axis=1)
    pairs = np.unique(np.sort(np.stack([a, b], 1), axis=1), axis=0, return_index=True)
    a, b = pairs[0].T
    length = length[pairs[1]]
    n = len(p)
    return coo_matrix((np.r_[length, length], (np.r_[a, b], np.r_[b, a])), (n, n)).tocsr()


def _onto(source, target, where) -> np.ndarray:
    """`source` (V, 3) moved by the similarity that fits its points `where` onto the target's.

    Umeyama (1991), without reflection.
    """
    s, t = source[where], target[where]
    ms, mt = s.mean(0), t.mean(0)
    u, d, vt = np.linalg.svd((t - mt).T @ (s - ms))
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (d * sign).sum() / ((s - ms) ** 2).sum()
    return (source - ms) @ (u * sign @ vt).T * scale + mt


def _relative(color: str, its_skin: str, skin: str) -> str:
    """Lips (sRGB hex) on another skin: moved by the CIE Lab difference of their own skin, less of
    it on a darker one, and never lighter than the skin."""
    c, s, t = (_lab(x) for x in (color, its_skin, skin))
    step = (c - s) * min(1.0, t[0] / s[0])
    step[0] = min(step[0], 0)
    rgb = cv2.cvtColor((t + step).astype(np.float32)[None, None], cv2.COLOR_LAB2RGB)[0, 0]
    return bytes(np.round(255 * np.clip(rgb, 0, 1)).astype(np.uint8)).hex()


def _lab(color: str) -> np.ndarray:
    rgb = np.frombuffer(bytes.fromhex(color), np.uint8).astype(np.float32) / 255
    return cv2.cvtColor(rgb[None, None], cv2.COLOR_RGB2LAB)[0, 0].astype(np.float64)
