"""GHOST's whole image path, upstream's code beside ours, with seeded random weights.

    python benchmarks/ghost_path.py CLONE [--face-align FOLDER] [--golden FILE] [--network small]

CLONE: ai-forever/ghost at ea23cce. FOLDER: the `insightface/utils` of the insightface 0.2.1 wheel,
whose face_align.py needs scikit-image; without it the alignment is not compared. Upstream's own
functions run as they are, with stand-ins for what does not install any more: `.cuda()` does
nothing, mxnet's and insightface's detectors give the points that are handed to them.

--network small puts networks of a few kB in the place of AEI-Net and iresnet100 on both sides; that
is how tests/swapping/neural/data/ghost_golden.npz was made (the tests build the same ones from the
seed).
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
import tyro
from tyro.conf import Positional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from idf_helpers.data import media, samples
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.swapping.neural.align import five_points
from idf_helpers.swapping.neural.ghost_align import ghost_crop, pose_matrix, smooth_points
from idf_helpers.swapping.neural.ghost_mask import face_mask, points_106
from idf_helpers.swapping.neural.ghost_nets import GhostNets, generator_class
from idf_helpers.swapping.neural.ghost_steps import blend, generate
from idf_helpers.swapping.neural.iresnet import IResNet
from tests.swapping.neural.ghost_cases import SHIFTS, TURNS, small_nets, walk


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    clone: Positional[Path]
    """Folder of ai-forever/ghost at ea23cce."""
    face_align: Path | None = None
    """`insightface/utils` of insightface 0.2.1."""
    golden: Path | None = None
    """Where to write the arrays that the tests compare with."""
    network: Literal["full", "small"] = "full"
    """Upstream's AEI-Net with two blocks and iresnet100 (1 GB), or networks of a few kB."""
    seed: int = 0
    """Of the random weights."""


class Points:
    """Upstream's face detector and its landmark network: they give what they are told."""

    def __init__(self):
        self.faces: dict[bytes, list[np.ndarray]] = {}
        self.landmarks: dict[bytes, np.ndarray] = {}
        self.asked: list[np.ndarray] = []

    def get(self, image, crop_size):
        return self.faces[image.tobytes()]

    def get_without_detection_without_transform(self, crop):
        self.asked.append(crop.copy())
        return self.landmarks.get(crop.tobytes(), self.landmarks[b""])


def upstream(options: Options):
    """The modules of the clone that make up the image path."""
    for name in ("kornia", "tqdm", "torchvision", "torchvision.transforms", "insightface",
                 "insightface.utils"):
        if name not in sys.modules:
            with contextlib.suppress(ImportError):
                __import__(name)
                continue
            sys.modules[name] = types.ModuleType(name)
    sys.modules["tqdm"] = types.SimpleNamespace(tqdm=lambda x, **k: x)
    utils = sys.modules["insightface.utils"]
    if options.face_align is not None:
        sys.path.insert(0, str(options.face_align))
        import face_align
    else:  # ours in its place
        face_align = types.SimpleNamespace(
            estimate_norm=lambda five, size, mode: pose_matrix(five, size))
    utils.face_align = face_align
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda self, *a, **k: self
    sys.path.insert(0, str(options.clone))
    from utils.inference import core, image_processing, masks, video_processing
    return core, image_processing, masks, video_processing, face_align


def nets_of(options: Options) -> GhostNets:
    if options.network == "small":
        return small_nets(options.seed)
    torch.manual_seed(options.seed)
    generator = generator_class(options.clone)("unet", num_blocks=2, c_id=512).eval()
    recognizer = IResNet().eval()
    for module in generator.modules():  # as initialized every picture comes out mid gray
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, 0, 0.05)
    return GhostNets(generator, recognizer)


def main(options: Options) -> None:
    core, image_processing, masks, video_processing, face_align = upstream(options)
    nets, points, detector = nets_of(options), Points(), LandmarkDetector()
    print(f"{cpu_name()}, {cpu_count()} cores, torch {torch.__version__}, OpenCV "
          f"{cv2.__version__}, networks: {options.network}\n")
    photo = media.read_image(samples.photo("C"))[..., :3]
    frame = samples.dataset("head_multiview").test[0].image()[..., :3]
    faces = [detector.detect(p, zoom=True)[0] for p in (photo, frame)]
    bgr = [np.ascontiguousarray(p[..., ::-1]) for p in (photo, frame)]
    fives = [five_points(f.points) for f in faces]
    for picture, five in zip(bgr, fives, strict=True):
        points.faces[picture.tobytes()] = [five]

    golden: dict[str, np.ndarray] = {"fives": np.stack(fives)}
    checks = []
    # 1. alignment: each pose, turned and moved
    theirs, ours = [], []
    for five in TURNS:
        theirs.append(face_align.estimate_norm(five, 224, mode="None")[0])
        ours.append(pose_matrix(five)[0])
    golden["matrices"] = np.stack(theirs)
    checks.append(("alignment, largest difference", np.abs(np.stack(theirs) - ours).max(), 1e-5))
    # 2. smoothing
    theirs = video_processing.smooth_landmarks([walk()])[0]
    golden["smoothed"] = np.stack(theirs)
    checks.append(("smoothing, largest difference",
                   np.abs(np.stack(theirs) - smooth_points(walk())).max(), 1e-5))
    # 3. crops, and the whole path
    source = image_processing.crop_face(bgr[0], points, 224)[0]
    target = image_processing.crop_face(bgr[1], points, 224)[0]
    M, _ = pose_matrix(fives[1])
    crops = [ghost_crop(p, pose_matrix(f)[0]) for p, f in zip((photo, frame), fives, strict=True)]
    checks.append(("crops, largest difference", max(
        np.abs(a[..., ::-1].astype(int) - b).max() for a, b in
        zip((source, target), crops, strict=True)), 1e-5))
    golden["crop"] = crops[1][::8, ::8]
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        done = core.model_inference([bgr[1]], [source[:, :, ::-1]], [target], nets.recognize,
                                    nets.generate, points, False, half=False)
    theirs_s = time.process_time() - start
    l106 = points_106((faces[1].xy - 0.5) @ M[:, :2].T + M[:, 2])
    cases = []
    for shift in SHIFTS:
        moved = l106 + np.sign(l106 - l106.mean(0)) * (shift, 0)
        new = cv2.resize(done[0][0][0], (224, 224))
        points.landmarks = {b"": moved, done[1][0][0].tobytes(): l106, new.tobytes(): moved}
        picture = image_processing.get_final_image(*done[:2], bgr[1], done[3], points)
        mask, params = masks.face_mask_static(new, moved, l106)
        cases.append((moved, mask, params, picture[..., ::-1]))
    start = time.process_time()
    embedding = nets.embed(crops[0][None])[0]
    once_s = time.process_time() - start
    start = time.process_time()
    new = generate(crops[1], embedding, nets)
    ours_s = time.process_time() - start
    mask_gap = output_gap = 0.0
    for moved, mask, params, picture in cases:
        mine, mine_params = face_mask(moved, l106)
        assert tuple(params) == mine_params, (params, mine_params)
        mask_gap = max(mask_gap, np.abs(mask - mine).max())
        out, _ = blend(frame, new, mine, M)
        output_gap = max(output_gap, np.abs(out.astype(int) - picture).max())
    checks += [("masks (four widths), largest difference", mask_gap, 0.0),
               ("output picture, gray levels", output_gap, 1.0)]
    golden |= {"landmarks": l106, "masks": np.stack([np.rint(c[1] * 255) for c in cases]
                                                    ).astype(np.uint8),
               "params": np.array([c[2] for c in cases]),
               "outputs": np.stack([c[3][::4, ::4] for c in cases])}
    missed = False
    for what, value, limit in checks:
        missed |= value > limit
        print(f"{what:44} {value:10.2e}   limit {limit:g}   {'MISSED' if value > limit else 'ok'}")
    away = np.abs(new.astype(int) - crops[1]).mean()
    print(f"\nthe new face's own spread: {new.std():.1f} levels over its pixels; it differs from "
          f"the old one by {away:.1f} on average")
    print(f"CPU seconds: upstream {theirs_s:.1f} an image (source and target embedded each "
          f"time); here {once_s:.1f} once and {ours_s:.1f} an image")
    if options.face_align is None:
        print("alignment not compared: no --face-align")
    if options.golden is not None:
        np.savez_compressed(options.golden, **golden)
        print(f"{options.golden}: {options.golden.stat().st_size / 1000:.0f} kB")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main(tyro.cli(Options))
