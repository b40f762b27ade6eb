"""Another head's sequence moves the avatar: expressions as changes from each side's own rest.

Raw values of one person's tracking are not another's: no resting face is all zeros. So the
driver's change from its own neutral is added to the avatar's neutral and clamped to what the avatar
was trained on. A driver at rest gives the avatar at rest, exactly.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..data.cameras import Camera, scene_frame
from ..data.contact_sheet import titled
from ..data.dataset import Dataset
from ..data.inputs import as_dataset
from ..data.media import over, resize_area, to_uint8, video_writer
from ..data.sequence import in_time
from ..errors import IdfError, shorten
from ..provenance import marked
from ..provenance.lineage import copy_consent
from ..reconstruction import mark_of_model
from ..reconstruction.avatar.basis import ExpressionBasis
from ..reconstruction.avatar.expression_pca import neutral_expression
from ..reconstruction.avatar.pose import mean_rotation, pose_features
from ..reconstruction.avatar.scene import AvatarScene
from ..reconstruction.avatar.sequence import check_expressions, expression_names
from ..runtime.files import stable_hash
from ..runtime.progress import Reporter
from ..runtime.runs import RunFolder
from .config import ReenactConfig
from .expression import load_avatar
from .formats import labeled

VIDEO = "reenactment.mp4"
USUAL_FPS = 25.0


class Transfer:
    """From a driver's expressions and poses to the avatar's.

    names: of the driver's values. neutral: (E_d,) its rest. reference: (3, 3) its mean camera
    rotation. IdfError where driver and avatar have no name in common.
    """

    def __init__(self, scene: AvatarScene, names: tuple[str, ...], neutral: np.ndarray,
                 reference: np.ndarray, strength: float = 1.0):
        self.scene, self.strength = scene, strength
        self.neutral, self.reference = np.asarray(neutral, np.float32), reference
        basis = scene.basis
        self.pairs = shared_names(basis, names)
        self.base = scene.front
        self.place = scene_frame(scene.cameras)

    def expression(self, driver) -> np.ndarray:
        """Return (E,) of (E_d,): neutral + strength · (driver - its neutral), clamped."""
        basis = self.scene.basis
        out = basis.neutral.copy()
        ours, theirs = self.pairs
        change = np.asarray(driver, np.float32)[theirs] - self.neutral[theirs]
        out[ours] += np.float32(self.strength) * change
        return basis.clamp(out)

    def camera(self, driver: Camera) -> Camera:
        """Return the avatar's front view, turned about the head as the driver's is from its
        mean; its three angles each stay within what the avatar was trained at."""
        from scipy.spatial.transform import Rotation

        mean = self.scene.avatar.extra["reference"]
        turn = self.reference.T @ driver.c2w[:3, :3]
        low, high = self.scene.avatar.extra["pose_range"][:, :3]
        p = np.clip(pose_features(replace(driver, c2w=_with_rotation(turn)), np.eye(3), 3), low,
                    high)
        wanted = mean @ Rotation.from_rotvec(p * np.radians(20)).as_matrix()
        about = wanted @ self.base.c2w[:3, :3].T
        c2w = np.array(self.base.c2w)
        c2w[:3, :3] = wanted
        c2w[:3, 3] = self.place.center + about @ (self.base.position - self.place.center)
        return replace(self.base, c2w=c2w)


def _with_rotation(R: np.ndarray) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3] = R
    return out


def shared_names(basis: ExpressionBasis, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Return the places in the avatar and in the driver of the values that both have by name."""
    there = {n: i for i, n in enumerate(names)}
    numbered = [_only_numbered(n) for n in (basis.names, names)]
    if numbered[0] != numbered[1] or (all(numbered) and len(names) != len(basis.names)):
        there = {}
    ours = [i for i, n in enumerate(basis.names) if n in there]
    useful = [i for i in ours if basis.moving[i]]
    if not useful:
        raise IdfError("The driver's expressions have other names than the avatar's",
                       f"driver: {shorten(names)}; avatar: "
                       f"{shorten(n for n, m in zip(basis.names, basis.moving, strict=True) if m)}",
                       "track both with the same tracker, or name the driver's values in "
                       "`expression_names` of its camera files")
    return ours, [there[basis.names[i]] for i in ours]


def _only_numbered(names: tuple[str, ...]) -> bool:
    return all(n[:1] == "e" and n[1:].isdigit() for n in names)


def transfer_from(scene: AvatarScene, driver: Dataset, config: ReenactConfig) -> Transfer:
    """Return the mapping from the driver's frames to the avatar; the rest pose is the smallest
    expression. IdfError: no or broken expressions, other names."""
    frames = in_time(driver.frames)
    check_expressions(frames)
    neutral = neutral_expression(np.stack([f.expression for f in frames]))
    return Transfer(scene, expression_names(driver), neutral,
                    mean_rotation([f.camera for f in frames]), config.strength)


def reenact(run: str | Path, driver: Dataset | str | Path, out: str | Path,
            config: ReenactConfig | None = None, *, resume: bool = True,
            reporter: Reporter | None = None) -> Path:
    """Move an avatar by another sequence: a video of the driver and, to its right, the avatar,
    named above.

    The consent records of both travel with it.

    Args:
        run: folder of an avatar.
        driver: dataset with expressions of the same names, e.g. the output of `idf track`.
        out: run folder: reenactment.mp4.
        config: settings.
        resume: return a finished video; --no-resume writes it again.
        reporter: takes word of the progress.

    Returns the path of the video. IdfError: no avatar, and see `transfer_from`.
    """
    config, reporter = (config or ReenactConfig()).checked(), reporter or Reporter()
    scene, driver = load_avatar(run), as_dataset(driver, reporter)
    transfer = transfer_from(scene, driver, config)
    mark = mark_of_model(run)
    frames = in_time(driver.frames)[:config.frames]
    with RunFolder(out, stage="reenact", backend="cpu", config=config,
                   inputs={"avatar": mark.run_id, **driver.fingerprint()}, resume=resume) as folder:
        path = folder.path / VIDEO
        if folder.finished and path.is_file():
            return path
        mark = replace(mark, run_id=folder.run_id, made="reenacted 4D avatar")
        fps = config.fps or driver.fps or USUAL_FPS
        base = transfer.base.fitted(config.resolution or scene.avatar.meta.get("resolution"))
        with marked(path, mark) as temporary, \
                video_writer(temporary, fps, comment=mark.text()) as video:
            for i, frame in enumerate(frames, 1):
                camera = transfer.camera(frame.camera) if config.follow_pose else transfer.base
                picture = scene.render(camera.resized(base.width, base.height),
                                       transfer.expression(frame.expression))
                pair = beside(over(frame.image()), labeled(picture, config))
                video.append(mark.watermarked(titled(pair, ("driver", "avatar"))))
                reporter.step("reenacting", i / len(frames))
        copy_consent(driver.root, folder.path)
        copy_consent(run, folder.path)  # of the face that is shown
        folder.finish({"frames": len(frames), "shared_values": len(transfer.pairs[0])},
                      consent=mark.consent, made=mark.made, source_type=mark.source_type,
                      pairs=stable_hash(transfer.pairs))
    return path


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return two pictures side by side, (H, W, 3) uint8, the left one resized to the right one's
    height."""
    left, right = to_uint8(left)[..., :3], to_uint8(right)
    h = right.shape[0]
    if left.shape[0] != h:
        left = resize_area(left, max(1, round(left.shape[1] * h / left.shape[0])), h)
    return np.concatenate([left, right], axis=1)
