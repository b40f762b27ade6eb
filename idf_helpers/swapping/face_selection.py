"""Which faces of a picture get which source: one, all, by number, or those of reference photos.

The k-th source goes to the k-th target. A face is known from a reference by a recognizer's
embedding where a backend has one; without, by skin color and the inner face's gradients, which
tell people of other looks apart but not brothers; the report mentions it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import IdfError
from ..face import topology
from ..face.color import fill_rings, rgb_to_lab
from ..face.detector import LandmarkDetector
from ..face.landmarks import FaceLandmarks
from .config import SwapConfig
from .metrics import aligned_face, cosine, hog
from .result import SwapResult
from .source import load_source

MOST_FACES = 16
# Cosine of two embeddings above which they are one person: GHOST's own threshold (its
# `--similarity_th`), of which it takes the best face only, as is done here.
RECOGNIZED = 0.15
# Of `Looks`: on renders and photos of three heads, within 50 degrees, pairs of one head reached
# 0.63 to 0.97 and pairs of two 0.16 to 0.50.
LOOKS_ALIKE = 0.56

Describe = Callable[[np.ndarray, FaceLandmarks], np.ndarray]


@dataclass(frozen=True)
class Looks:
    """A face by its looks, where there is no recognizer: (V,) skin's Lab and HOG of the inner face.

    similarity = 0.6 exp(-(e / 4)^2) + 0.4 max(0, (c - 0.4) / 0.6), e = |(0.3 dL, da, db)| of the
    skins, c = cosine of the HOGs.
    """

    threshold = LOOKS_ALIKE
    words = "told apart by looks (skin color, gradients): no recognizer is available"

    def __call__(self, image: np.ndarray, face: FaceLandmarks) -> np.ndarray:
        lab = rgb_to_lab(np.ascontiguousarray(image[..., :3]))
        rings = [face.xy[r] for r in topology.SKIN_PATCHES]
        patch = lab[fill_rings(rings, *image.shape[:2]) > 0.5]
        skin = np.median(patch, axis=0) if len(patch) else np.zeros(3)
        return np.concatenate([skin, hog(aligned_face(image, face.points))])

    def similarity(self, a: np.ndarray, b: np.ndarray) -> float:
        e = np.linalg.norm((a[:3] - b[:3]) * (0.3, 1, 1))
        c = cosine(a[3:], b[3:])
        return float(0.6 * np.exp(-(e / 4) ** 2) + 0.4 * max(0.0, (c - 0.4) / 0.6))


@dataclass(frozen=True, eq=False)
class Recognized:
    """A face by a recognizer's embedding. embed: (image, face) -> (512,)."""

    embed: Describe
    name: str = "a recognizer"
    threshold = RECOGNIZED

    @property
    def words(self) -> str:
        return f"told apart by {self.name}'s embedding"

    def __call__(self, image, face) -> np.ndarray:
        return np.asarray(self.embed(image, face), np.float64).ravel()

    def similarity(self, a, b) -> float:
        return cosine(a, b)


@dataclass(frozen=True, eq=False)
class FacePicker:
    """Picks the faces of a picture; picklable.

    target: "one", "all" or numbers from the left. sources: how many there are. min_size: pixels,
    longer side of a face. min_confidence: least probability of a face, (0, 1).
    references: descriptions of the wanted faces, by `describe`; threshold: of its similarity.
    """

    target: str | tuple[int, ...] = "one"
    sources: int = 1
    min_size: float = 0.0
    min_confidence: float = 0.9
    references: tuple[np.ndarray, ...] = ()
    describe: Looks | Recognized | None = None
    threshold: float = 0.0

    @property
    def words(self) -> str:
        """How references are matched, "" without any."""
        return f"references {self.describe.words}" if self.references else ""

    def pick(self, image: np.ndarray, detector: LandmarkDetector
             ) -> tuple[list[tuple[FaceLandmarks, int]], SwapResult | None]:
        """Return [(face, number of its source)], and the unchanged result where there is none.

        image: (H, W, 3|4) uint8.
        """
        many = self.target != "one" or bool(self.references)
        found = detector.detect(image, presence=min(self.min_confidence, 0.9), zoom=many,
                                max_faces=MOST_FACES if many or self.min_size else 1)
        sure = [f for f in found if f.presence > self.min_confidence]
        large = [f for f in sure if f.size >= self.min_size]
        if not large:
            return [], SwapResult.unchanged(image, *self._why(found, sure))
        if self.references:
            pairs, best = self._matching(image, large)
            reason = f"no face like a reference (best similarity {best:.2f}, " \
                     f"{self.threshold:.2f} is asked for)"
        elif self.target == "one":
            pairs, reason = [(large[0], 0)], ""
        else:
            order = sorted(large, key=lambda f: float(f.box[[0, 2]].mean()))
            wanted = range(len(order)) if self.target == "all" else self.target
            pairs = [(order[n], 0 if self.sources == 1 else k) for k, n in enumerate(wanted)
                     if n < len(order) and (self.sources == 1 or k < self.sources)]
            reason = f"{len(order)} face{'s' * (len(order) > 1)}, none with the number asked for"
        return pairs, None if pairs else SwapResult.unchanged(image, "no_face", reason)

    def _why(self, found, sure) -> tuple[str, str]:
        if not found:
            return "no_face", "no face was found"
        if not sure:
            return "low_confidence", f"a face with probability {found[0].presence:.2f}, " \
                                     f"{self.min_confidence:.2f} is asked for"
        size = max(f.size for f in sure)
        return "no_face", f"a face of {size:.0f} px, at least {self.min_size:.0f} is asked for"

    def _matching(self, image, faces):
        """Each reference takes its most similar face; of two that want one face the better one."""
        looks = [self.describe(image, f) for f in faces]
        table = np.array([[self.describe.similarity(r, x) for x in looks]
                          for r in self.references])  # (references, faces)
        pairs: dict[int, tuple[float, int]] = {}
        for k, row in enumerate(table):
            n = int(row.argmax())
            if row[n] > self.threshold and row[n] > pairs.get(n, (-1.0, 0))[0]:
                pairs[n] = (float(row[n]), k)
        return [(faces[n], 0 if self.sources == 1 else k) for n, (_, k) in sorted(pairs.items())], \
            float(table.max())


def parse_target(text: str) -> str | tuple[int, ...]:
    """Return what is typed as "one", "all", or numbers such as "0" and "0,2". IdfError for anything
    else."""
    text = str(text).strip().lower()
    if text in ("one", "all"):
        return text
    try:
        numbers = tuple(int(part) for part in text.split(","))
        if min(numbers) >= 0 and len(set(numbers)) == len(numbers):
            return numbers
    except ValueError:
        pass
    raise IdfError("It is not clear which faces to swap", repr(text),
                   "--target one, all, or numbers counted from the left from 0, e.g. 0,2")


def make_picker(config: SwapConfig, sources: int, detector: LandmarkDetector,
                recognizer: Recognized | None = None) -> FacePicker:
    """Return the picker that `config` asks for.

    sources: how many source photos there are. IdfError: settings that contradict each other,
    reference photos without a face.
    """
    target, references = parse_target(config.target), tuple(config.reference)
    goals = len(references) or (len(target) if isinstance(target, tuple) else 0)
    if sources > 1 and goals and goals != sources:
        raise IdfError("The k-th source goes to the k-th target, but their numbers differ",
                       f"{sources} source photos, {goals} targets", "give as many, or one source")
    if sources > 1 and not goals and target == "one":
        raise IdfError("Several sources are given, but not which of them goes to which face",
                       f"{sources} source photos, one target",
                       "name the targets with --target 0,1 or --reference PHOTO PHOTO; several "
                       "photos of one person are taken by the backend uv")
    describe = recognizer or Looks()
    looks = []
    for path in references:
        face = load_source(path, detector)
        looks.append(describe(face.image, face.landmarks))
    threshold = describe.threshold if config.similarity is None else config.similarity
    return FacePicker(target, sources, config.min_face, config.min_confidence, tuple(looks),
                      describe if looks else None, threshold)


def swap_picked(image: np.ndarray, picker: FacePicker, detector: LandmarkDetector,
                swap: Callable[[np.ndarray, FaceLandmarks, int], SwapResult]) -> SwapResult:
    """Swap all picked faces of a picture, one after the other.

    swap: (picture, face, number of the source) -> result. The result's `sources` are the numbers
    that were put in; where no face could be swapped it is the first one's own.
    """
    pairs, nothing = picker.pick(image, detector)
    if nothing is not None:
        return nothing
    done: list[int] = []
    before: dict[str, None] = {}  # of all faces, each once
    failed: list[SwapResult] = []
    out, mask = image, np.zeros(image.shape[:2], np.float32)
    for face, k in pairs:
        result = swap(out, face, k)
        if result.status != "swapped":
            failed.append(result)
            continue
        out, mask = result.image, np.maximum(mask, result.mask)
        done.append(k)
        before |= dict.fromkeys(result.in_front)
    if not done:
        return failed[0]
    reason = f"{len(done)} of {len(pairs)} faces; {failed[0].reason}" if failed else ""
    return SwapResult(out, mask, "swapped", reason, tuple(done), in_front=tuple(before))


def unmatched(rows: Sequence[dict], sources: int) -> list[int]:
    """Return numbers of the sources that no frame of a report took."""
    used = {k for row in rows for k in row.get("sources", ())}
    return [k for k in range(sources) if k not in used]
