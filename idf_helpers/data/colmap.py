"""COLMAP reconstructions as frames: poses, lenses and pictures brought together."""

from __future__ import annotations

from pathlib import Path

from ..errors import IdfError, shorten
from . import media
from .cameras import Camera
from .colmap_files import Entry, Pose, read_lenses, read_poses
from .colmap_places import IMAGE_FOLDERS, Sparse, find_sparse, picture_folder
from .frame import Frame, picture_name
from .intrinsics import checked_panorama, straight_focal
from .lens import MODELS, Lens
from .pictures import Finder

__all__ = ["Sparse", "find_sparse", "read_frames"]


def read_frames(finder: Finder, sparse: Sparse) -> tuple[Path, list[Frame]]:
    """Return the folder of the pictures, and one training frame for each, sorted by name.

    A frame whose picture is missing has no camera. IdfError: files that are damaged, lens models
    that are not known, pictures outside the folder.
    """
    root = finder.root
    poses = sorted(read_poses(sparse.images), key=lambda p: p.name)
    folder = picture_folder(root, sparse, poses[0].name if poses else "")
    if folder is None:
        raise IdfError(f"The COLMAP folder {root} has no pictures",
                       f"no folder `{IMAGE_FOLDERS[0]}`, none of "
                       f"{shorten(IMAGE_FOLDERS[1:], 9)}",
                       "put the pictures that COLMAP was given into its folder `images`")
    lenses = read_lenses(sparse.cameras)
    inside, frames = folder.relative_to(root).as_posix(), []
    for pose in poses:
        where = f"the picture {pose.name} of {sparse.images.name}"
        if pose.lens not in lenses:
            raise IdfError(f"{where} belongs to a camera that is not listed", f"camera {pose.lens}",
                           f"{sparse.cameras.name} and {sparse.images.name} do not belong together")
        picture = None
        if pose.name.strip("./\\") or ".." in pose.name:
            picture = finder.find(_below(inside, pose.name), where)
        frame = Frame(picture_name(pose.name), picture or folder / pose.name, None, "train")
        frames.append(frame if picture is None else
                      _with_camera(frame, pose, lenses[pose.lens], where))
    if not frames:
        raise IdfError(f"The COLMAP folder {root} has no training frames",
                       f"0 pictures in {sparse.images}",
                       "run COLMAP's mapper until it registers some")
    return folder, frames


def _below(folder: str, name: str) -> str:
    """Return a picture's path from the root; one that starts at a disk's root stays as it is."""
    outside = name[:1] in "/\\" or name[1:2] == ":"
    return name if outside or folder == "." else f"{folder}/{name}"


def _with_camera(frame: Frame, pose: Pose, entry: Entry, where: str) -> Frame:
    if entry.model not in MODELS or MODELS[entry.model].number is None:
        raise IdfError(f"The camera model of {where} cannot be used", entry.model,
                       "undistort first: colmap image_undistorter --image_path images "
                       "--input_path sparse/0 --output_path undistorted")
    if not (0 < entry.width < 10**6 and 0 < entry.height < 10**6):
        raise IdfError(f"The camera of {where} makes no sense", "size "
                       f"{entry.width!s:.12}x{entry.height!s:.12} pixels", "run COLMAP again")
    lens = lens_of(entry)
    if MODELS[entry.model].focal and not (
            1e-3 < lens.fx / lens.width < 1e6 and 1e-3 < lens.fy / lens.height < 1e6
            and abs(lens.cx) < 1e3 * lens.width and abs(lens.cy) < 1e3 * lens.height):
        raise IdfError(f"The camera of {where} makes no sense",
                       f"focal lengths {lens.fx:g}, {lens.fy:g}, center {lens.cx:g}, {lens.cy:g}, "
                       f"size {lens.width:.3g}x{lens.height:.3g} pixels", "run COLMAP again")
    w, h = media.image_size(frame.path, "picture")
    if abs(lens.width / lens.height - w / h) > 0.02 * w / h:
        raise IdfError(f"The picture of {where} has another shape than its camera",
                       f"{w}x{h} pixels, camera for {lens.width}x{lens.height}",
                       "give the pictures that COLMAP was run on; where they carry an EXIF "
                       "rotation, rotate them for good and run COLMAP again")
    lens = lens.resized(w, h)
    if not MODELS[entry.model].focal:
        lens = checked_panorama(lens, where)
    fx, fy = straight_focal(lens)
    camera = Camera(pose.c2w(), fx, fy, lens.cx, lens.cy, w, h)
    return Frame(frame.name, frame.path, camera, frame.split,
                 lens=None if lens.is_straight else lens, model=entry.model)


def lens_of(entry: Entry) -> Lens:
    """Return the lens of one entry of `cameras`; its parameters begin with f or fx, fy, and the
    center."""
    p, focal = entry.parameters, MODELS[entry.model].focal
    w, h = entry.width, entry.height
    if focal == 0:  # a panorama says its size again, nothing else
        return Lens(entry.model, (), float(w), float(h), w / 2, h / 2, w, h)
    return Lens(entry.model, p[focal + 2:], p[0], p[focal - 1], p[focal], p[focal + 1], w, h)
