"""The methods `avatar cpu` and `avatar gsplat`: Gaussians with a basis of expressions."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...data.dataset import Dataset, Frame
from ...errors import IdfError, shorten
from ...face.downloads import FACE_LANDMARKS
from ...face.head_shape import HeadFrame
from ...lpips_weights import LPIPS
from ...perceptual import Lpips, large_enough
from ...provenance import Mark, marked
from ...provenance.lineage import mark_of
from ...runtime import download
from ...runtime.progress import Reporter
from ...runtime.runs import RunFolder
from ...tracking.pose_check import check_poses
from ..method import Method
from ..splats.formats.writing import exporters
from ..splats.rasterizers import RASTERIZERS
from .basis import FILE, BlendAvatar
from .config import AvatarConfig
from .details import Details, measure_details
from .evaluate import AvatarMetrics, evaluate_avatar
from .frame_source import FrameSource
from .pictures import edit_strip, held_out_sheet
from .pose_refinement import refined_cameras
from .scene import AvatarScene
from .sequence import gaps, split_for
from .train import build_mattes, fit

STATIC = "static.npz"  # the baseline that cannot move, where it was asked for


class BlendshapeAvatar(Method):
    """Our avatar. name: of the rasterizer, "cpu" or "gsplat"."""

    stage, made = "avatar", "4D avatar"
    config_type = AvatarConfig
    exporters = exporters()

    def __init__(self, name: str):
        self.name = name

    def fit(self, data: Dataset, config: AvatarConfig, run: RunFolder, reporter: Reporter
            ) -> AvatarScene:
        rasterizer = RASTERIZERS.load(self.name)
        data = split_for(data, config.holdout_last)
        notes, head = notes_on_input(data, config)
        for note in notes:
            reporter.note(note)
        cache = run.path / "cache"
        source = FrameSource(
            data, data.train, cache / "frames", config.resolution, background=config.background,
            progress=lambda n: reporter.step("reading frames", n / max(len(data.train), 1)))
        mattes = build_mattes(source, cache / "mattes").array()[..., 0]
        poses, details = {}, Details.none(len(source))
        others = [f for f in data.frames if f.split != "train"]
        if head is not None and config.refine_poses and source.by_person:
            poses = refined_cameras(source, mattes, others, head, lambda done: reporter.step(
                "aligning the head", done))
            source.cameras = [poses[f.name].fitted(config.resolution) for f in source.frames]
        if head is not None and config.skin_motion and config.rank:
            details = measure_details(source, others, poses, head, cache / "skin_motion.npz",
                                      lambda done: reporter.step("following the skin", done))
        scene = fit(source, mattes, config, head=head, details=details.train, run=run,
                    rasterizer=rasterizer(), progress=reporter.training)
        if config.baseline:  # the same recipe without an expression
            path = run.path / STATIC
            if not (path.is_file() and run.resumed):
                still = fit(source, mattes, replace(config, rank=0), head=head,
                            rasterizer=rasterizer(),
                            progress=reporter.training)
                with marked(path, mark_of(data, run.run_id, "head that cannot move")) as temporary:
                    still.avatar.save(temporary)
            scene.baseline = AvatarScene(BlendAvatar.load(path), rasterizer())
        if len(scene.basis.details):
            scene.avatar.meta["details"] = details.beyond(source.expressions, data.test)
        elif config.skin_motion:
            why = "where the head lies is not known" if head is None else \
                "of rank 0 nothing moves" if not config.rank else \
                "it explains too little beyond the named expressions"
            notes.append(f"the motion of the skin was not used: {why}")
            reporter.note(notes[-1])
        scene.avatar.meta["poses"] = {
            f.name: np.round(poses[f.name].c2w[:3], 7).tolist() for f in data.test if poses}
        source.pictures = None  # unmapped before it is deleted, as Windows wants it
        scene.training["notes"] = notes
        return scene

    def save(self, scene: AvatarScene, run: RunFolder, mark: Mark) -> None:
        with marked(run.path / FILE, mark) as temporary:
            scene.avatar.save(temporary)

    def measure(self, scene: AvatarScene, data: Dataset, config: AvatarConfig) -> AvatarMetrics:
        lpips = None if download.missing(LPIPS) else large_enough(Lpips().open())
        return evaluate_avatar(scene, posed(scene, self.test_frames(data, config)),
                               config.resolution, lpips=lpips)

    def test_frames(self, data: Dataset, config: AvatarConfig) -> Sequence[Frame]:
        return split_for(data, config.holdout_last).test

    def counts(self, scene: AvatarScene) -> dict[str, int]:
        return {k: scene.training[k] for k in ("num_gaussians", "moving")}

    def sheets(self, scene: AvatarScene, data: Dataset, config: AvatarConfig,
               metrics: AvatarMetrics) -> dict[str, np.ndarray]:
        captions = [f"{Path(f.name).name}, {f.psnr:.1f}\u00a0dB" for f in metrics.of("avatar")]
        frames = posed(scene, self.test_frames(data, config))
        return {"held_out.jpg": held_out_sheet(scene, frames, captions, config.resolution),
                "expressions.jpg": edit_strip(scene, resolution=config.resolution)}

    def finish(self, scene: AvatarScene, data: Dataset, run: RunFolder) -> None:
        shutil.rmtree(run.path / "cache", ignore_errors=True)

    def load(self, folder: Path, manifest: dict) -> AvatarScene:
        return AvatarScene(BlendAvatar.load(folder))

    def is_complete(self, folder: Path, config: AvatarConfig) -> bool:
        return (folder / FILE).is_file() and (not config.baseline or (folder / STATIC).is_file())

    def evaluate(self, folder: Path, data: Dataset, resolution: int | None, manifest: dict,
                 lpips=None) -> list[dict]:
        data = split_for(data, manifest["config"].get("holdout_last"))
        scene = self.load(folder, manifest)
        if (folder / STATIC).is_file():
            scene.baseline = AvatarScene(BlendAvatar.load(folder / STATIC))
        metrics = evaluate_avatar(scene, posed(scene, data.test), resolution, lpips=lpips)
        return [f.row() for f in metrics.of("avatar")] + [
            {"model": model, "view": "mean"} | metrics.means(model)
            for model in reversed(metrics.models)]


def posed(scene: AvatarScene, frames: Sequence[Frame]) -> list[Frame]:
    """Return frames under the poses that the training aligned them with, and with the details of
    their expressions that it measured, where it did."""
    poses, details = (scene.avatar.meta.get(k, {}) for k in ("poses", "details"))
    out = []
    for f in frames:
        if f.name in poses:
            f = replace(f, camera=replace(f.camera, c2w=np.array([*poses[f.name], (0, 0, 0, 1)])))
        if f.name in details:
            f = replace(f, expression=np.concatenate([f.expression, details[f.name]], dtype="f4"))
        out.append(f)
    return out


def notes_on_input(data: Dataset, config: AvatarConfig) -> tuple[list[str], HeadFrame | None]:
    """Return notes on the sequence, and where the head lies, None where no face is found; IdfError
    where training on it would be pointless."""
    notes = [n for n in data.notes if "held out" in n] if config.holdout_last else []
    holes = gaps(list(data.frames))  # of all splits: what another split holds is not missing
    if holes:
        notes.append(f"frames are missing in the middle of the sequence: "
                     f"{shorten(f'{a + 1} to {b - 1}' for a, b in holes)}; trained on those there "
                     "are")
    if not (config.check_poses or config.head_shape):
        return notes, None
    blind = "" if not config.head_shape else "; nothing keeps the head's depth"
    if not download.is_present(FACE_LANDMARKS):
        return [*notes, "poses and pictures were not compared: the face models are not here "
                f"(idf download face_landmarks){blind}"], None
    try:
        report = check_poses(data.train)
    except IdfError as error:  # no face large enough to look at: no reason to stop
        return [*notes, f"poses and pictures were not compared: {error.found}{blind}"], None
    if config.check_poses:
        notes.append(report.require().text())
    if not (config.head_shape and report.ok):
        return notes, None
    return notes, HeadFrame(*report.similarity, report.face)
