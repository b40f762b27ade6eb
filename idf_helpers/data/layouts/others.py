"""Folders of other programs: which one wrote it, and what to do where it cannot be read."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import IdfError
from . import imavatar, nersemble
from .reading import Reading

NERFSTUDIO = "convert it with nerfstudio (`ns-process-data {0}`), which writes a transforms.json"
TRACK = "make a video of the frames and track that: idf track VIDEO --out DIR"


@dataclass(frozen=True)
class Refused:
    """A layout that is not read. name: of the program. found: what of it is there, for messages.
    marks: patterns, all of which match something in its folder. do: the way out."""

    name: str
    found: str
    marks: tuple[str, ...]
    do: str

    def fits(self, root: Path) -> bool:
        return all(any(itertools.islice(root.glob(m), 1)) for m in self.marks)


# in this order: what is more special goes first
REFUSED = (
    Refused("NeRSemble's extracted frames", "timesteps/frame_…/images…/cam_….jpg",
            ("timesteps/frame_*/images*/cam_*.*",),
            "put the pictures of one timestep into one folder as images/cam_SERIAL_00000.jpg, "
            "beside a camera_params.json"),
    Refused("Neural Head Avatars", "SUBJECT/frame_…/image_0000.png", ("*/frame_*/image_0000.png",),
            "the pictures of one subject are a video: in its folder ffmpeg -i "
            "frame_%04d/image_0000.png head.mp4, then idf track head.mp4 --out DIR"),
    Refused("Neural Head Avatars", "frame_…/image_0000.png, cameras only in the tracker's .npz",
            ("frame_*/image_0000.png",),
            "its pictures are a video: ffmpeg -i frame_%04d/image_0000.png head.mp4, then idf "
            "track head.mp4 --out DIR"),
    Refused("VHAP's tracker", "tracked_flame_params….npz", ("tracked_flame_params*.npz",),
            "export it first: python vhap/export_as_nerf_dataset.py --src_folder … --tgt_folder …"),
    Refused("VHAP's tracker", "tracked_flame_params….npz", ("*/tracked_flame_params*.npz",),
            "export it first: python vhap/export_as_nerf_dataset.py --src_folder … --tgt_folder …"),
    Refused("metrical-tracker", "checkpoint/….frame, Python pickles", ("checkpoint/*.frame",),
            "export it first with INSTA's scripts/generate.sh, which writes transforms files"),
    Refused("NeRSemble's videos", "images/cam_….mp4", ("images/cam_*.mp4",),
            "take one picture of the same instant from every video, as "
            "images/cam_SERIAL_00000.jpg, and give DATASET#time=0; or export it with VHAP"),
    Refused("NeRSemble's videos", "sequences/…/images/cam_….mp4",
            ("sequences/*/images/cam_*.mp4",),
            "take one picture of the same instant from every video of a sequence, as "
            "images/cam_SERIAL_00000.jpg, and give that folder, #time=0; or export it with VHAP"),
    Refused("GaussianHeadAvatar", "images/0000/ and cameras/0000/camera_….npz",
            ("images/*/image_*.*", "cameras/*/camera_*.npz"),
            "export the same recordings with VHAP (export_as_nerf_dataset.py)"),
    Refused("NeRFBlendShape or AD-NeRF", "transforms with img_id, pictures not named",
            ("transforms*_exp.json", "transforms*_pose.json"), TRACK),
    Refused("Nerfies or HyperNeRF", "camera/….json, rgb/", ("camera/*.json", "rgb", "scene.json"),
            NERFSTUDIO.format("…") + "; a moving head: " + TRACK),
    Refused("NSVF", "pose/ and rgb/", ("pose/*.txt", "rgb", "intrinsics.txt"),
            "write its poses as transforms.json (camera-to-world, OpenGL's axes), fl_x of "
            "intrinsics.txt"),
    Refused("LLFF", "poses_bounds.npy", ("poses_bounds.npy",),
            "give the COLMAP folder that it was made of (sparse/0 and images), or run "
            + NERFSTUDIO.format("images")[len("convert it with "):]),
    Refused("IDR, NeuS or DTU", "cameras_sphere.npz", ("cameras_sphere.npz",),
            "write its cameras as transforms.json: camera-to-world of world_mat_i, K from "
            "decomposing it"),
    Refused("Record3D", "rgbd/ and metadata", ("rgbd", "metadata*"),
            NERFSTUDIO.format("record3d")),
    Refused("Polycam", "keyframes/cameras", ("keyframes/*cameras*",),
            NERFSTUDIO.format("polycam")),
    Refused("RealityCapture or Metashape", "a camera table (.xml)", ("*cameras*.xml",),
            NERFSTUDIO.format("metashape") + "; or export as COLMAP"),
    Refused("RealityCapture", "a camera table (.csv)", ("*.csv", "images"),
            NERFSTUDIO.format("realitycapture") + "; or export as COLMAP"),
    Refused("Meshroom", "cameras.sfm", ("*.sfm",), "export its cameras as COLMAP text"),
    Refused("OpenSfM or ODM", "reconstruction.json", ("reconstruction.json",),
            NERFSTUDIO.format("odm") + "; or `opensfm export_colmap`"),
    Refused("OpenSfM or ODM", "reconstruction.json", ("opensfm/reconstruction.json",),
            NERFSTUDIO.format("odm") + "; or `opensfm export_colmap`"),
    Refused("Bundler", "bundle.out", ("*bundle*.out",), "export its cameras as COLMAP"),
)


def readable(root: Path) -> Callable[[Path | None], Reading] | None:
    """Return what reads a folder that has another program's layout; None for other folders.

    The reader takes the named root, or None where none was named."""
    if imavatar.tables(root):
        return lambda within: imavatar.read(root)
    if not any(root.glob("transforms*.json")) and nersemble.pictures(root) and not (
            root / "sparse").is_dir():
        return lambda within: nersemble.read(root, within)
    return None


def read(root: Path, within: Path | None) -> Reading | None:
    """Return what a folder of another program holds; None for other folders."""
    reader = readable(root)
    return None if reader is None else reader(within)


def refused(root: Path) -> Refused | None:
    """Return the layout of a folder that nothing here reads; None where it is unknown."""
    return next((r for r in REFUSED if r.fits(root)), None)


def refuse(root: Path) -> None:
    """Raise IdfError with the program's name and the way out where a folder has a known layout that
    is not read."""
    found = refused(root)
    if found:
        raise IdfError(f"{root} has the layout of {found.name}, which is not read here",
                       found.found, found.do)
