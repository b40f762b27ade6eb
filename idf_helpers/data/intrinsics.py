"""Focal lengths, centers and lenses as camera files spell them.

Spellings: `fl_x` … (nerfstudio, instant-ngp), `camera_angle_x` in radians (Blender), `x_fov` in
degrees (instant-ngp), `K` and the like (3x3), `intrinsics` (NeRFace's four numbers, a matrix, or
`fx` …), each at the top of the file or in a frame, which goes first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import IdfError
from .lens import PANORAMAS, Lens
from .lens_keys import STRAIGHT, camera_model, distortion
from .numbers import Values, as_array, numbers

MATRICES = ("K", "intrinsic_matrix", "intrinsics_matrix", "camera_intrinsics", "intrinsic",
            "camera_matrix", "cam_K")
PIXELS = ("fl_x", "fx", "focal_x", "focal_length", "focal")
FOCAL = ("x_fov", *PIXELS, "camera_angle_x", "camera_angle_y", *MATRICES, "intrinsics")
SIZES = (("w", "h"), ("width", "height"), ("image_width", "image_height"))
NEAREST = 0.02  # focal length in widths: nothing straight sees more than 175 degrees


@dataclass(frozen=True)
class Intrinsics:
    """A lens for the picture on disk, its camera model as the file calls it. mirrored: whether x
    is counted to the left, as NeRFace does. for_any: where the whole file says it once and no size
    with it, what pictures of several sizes must share: "size" or "shape". remarks: what the user
    should know."""

    lens: Lens
    model: str
    mirrored: bool = False
    for_any: str = ""
    remarks: tuple[str, ...] = ()


def read_intrinsics(data: dict, entry: dict, w: int, h: int, where: str) -> Intrinsics:
    """Return what a frame's entry and the file's top say of the camera, for its picture of w x h
    pixels. IdfError: nothing said, no camera, another shape than the picture's, a lens that is not
    known."""
    e = Values(data, entry, where)
    model = camera_model(e)
    stated = next(((e.get(a), e.get(b)) for a, b in SIZES if e.raw(a) and e.raw(b)), None)
    jw, jh = stated or (w, h)
    if not (jw > 0 and jh > 0):
        raise IdfError(f"The intrinsics of {where} are not positive", f"w {jw}, h {jh}",
                       "give pixels above 0")
    if abs(jw / jh - w / h) > 0.02 * w / h:
        turned = " (turned on its side)" if abs(jh / jw - w / h) <= 0.02 * w / h else ""
        raise IdfError(f"The picture of {where} has another shape than its camera",
                       f"{w}x{h} pixels, camera for {jw:g}x{jh:g}{turned}",
                       "give the pictures that the cameras were found for, not cropped or turned")
    if model in PANORAMAS:
        lens = Lens(model, (), float(w), float(h), w / 2, h / 2, w, h)
        return Intrinsics(checked_panorama(lens, where), model)
    fx, fy, cx, cy, skew, mirrored, remarks = _focal(e, model, jw, jh, w, h)
    if not stated and abs(cx / w - cy / h) < 0.2 * abs(cx / w) and not 0.3 < cx / w < 0.85:
        remarks.append("the cameras' center lies far from the pictures' middle, and the file does "
                       "not say their size: pictures that were scaled need `w` and `h`")
    kind, parameters = distortion(e, model)
    if kind == "FTHETA":  # its polynomial is in pixels of the size that is stated
        lens = Lens(kind, parameters, 1.0, 1.0, cx, cy, 1, 1)
    else:
        lens = Lens(kind, parameters, fx, fy, cx, cy, 1, 1, skew)
    radius = e.get("fisheye_crop_radius") if kind not in STRAIGHT else None
    sx, sy = w / jw, h / jh
    lens = Lens(kind, parameters, lens.fx * sx, lens.fy * sy, cx * sx, cy * sy, w, h,
                skew * sx, None if not radius else radius * sx)
    _check(fx * sx, fy * sy, lens, where)
    said = model if kind in ("PINHOLE", model) else f"{model} ({kind})"
    source = _focal_source(e)
    angle = any(source.get(k) is not None for k in ("camera_angle_x", "camera_angle_y", "x_fov")) \
        and source.get("fl_x") is None and source.get("cx") is None
    for_any = "" if stated or source is entry else "shape" if angle else "size"
    return Intrinsics(lens, said, mirrored, for_any, tuple(remarks))


def _focal_source(e: Values) -> dict:
    """Return the frame where it says anything of the focal length, else the file."""
    return e.entry if any(e.entry.get(k) is not None for k in FOCAL) else e.data


def straight_focal(lens: Lens) -> tuple[float, float]:
    """Return the focal lengths, pixels, of the straight camera that stands for a lens: the lens's
    own at its center."""
    if lens.model == "FTHETA":  # the polynomial's slope is radians a pixel
        return lens.fx / lens.parameters[1], lens.fy / lens.parameters[1]
    return lens.fx, lens.fy


# --- focal lengths --------------------------------------------------------------------------------

def _focal(e: Values, model: str, jw: float, jh: float, w: int, h: int):
    """Return fx, fy, cx, cy, skew in pixels of jw x jh, whether x counts to the left, remarks."""
    source, where = _focal_source(e), e.where
    remarks: list[str] = []
    matrix = next((k for k in MATRICES if source.get(k) is not None), None)
    given = source.get("intrinsics")
    if isinstance(given, dict):
        inner = Values({}, given, f"`intrinsics` of {where}")
        fx = inner.first("fl_x", "fx", "f", "focal_length", "focal")
        if fx is None:
            raise _nothing(where)
        fy = inner.first("fl_y", "fy")
        cx, cy = inner.first("cx", "c_x", "principal_x"), inner.first("cy", "c_y", "principal_y")
        return (fx, fy or fx, jw / 2 if cx is None else cx, jh / 2 if cy is None else cy, 0.0,
                False, remarks)
    if source.get("x_fov") is not None:
        fx = _of_angle(math.radians(e.get("x_fov")), jw, "x_fov", where)
        fy = _of_angle(math.radians(e.get("y_fov")), jh, "y_fov", where) if e.get("y_fov") else fx
    elif (pixels := next((k for k in PIXELS if source.get(k) is not None), None)):
        fx = e.get(pixels)
        fy = e.first("fl_y", "fy", "focal_y") or fx
    elif matrix or (given is not None and np.ndim(as_array(given)) == 2):
        return *_of_matrix(source[matrix or "intrinsics"], matrix or "intrinsics", e, jw, jh,
                           remarks), False, remarks
    elif given is not None:
        fx, fy, cx, cy = numbers(given, "intrinsics", where, 4)
        if fx == 0 or fy <= 0:
            raise IdfError(f"The intrinsics of {where} have no focal length", f"{given}",
                           "give [fx, fy, cx, cy], focal lengths in pixels")
        if cx > 2 and cy > 2:  # no part of a size
            remarks.append("`intrinsics` are taken as fx, fy, cx, cy in pixels")
            return abs(fx), fy, cx, cy, 0.0, fx < 0, remarks
        # NeRFace: focal lengths in the picture's own pixels, the center in parts of its size, rays
        # through whole pixels: its pixel i is our i + 0.5. Its tracker counts x to the left.
        return (abs(fx) * jw / w, fy * jh / h, (cx * w + 0.5) * jw / w, (cy * h + 0.5) * jh / h,
                0.0, fx < 0, remarks)
    elif source.get("camera_angle_x") is not None or source.get("camera_angle_y") is not None:
        ax, ay = e.get("camera_angle_x"), e.get("camera_angle_y")
        fy = None if ay is None else _of_angle(ay, jh, "camera_angle_y", where)
        fx = fy if ax is None else _of_angle(ax, jw, "camera_angle_x", where)
        fy = fx if fy is None else fy
    elif model == "FTHETA":
        slope = e.get("ftheta_p1")
        if not slope or slope <= 0:
            raise IdfError(f"The lens of {where} has no focal length", f"ftheta_p1 {slope}",
                           "export the cameras again")
        fx = fy = 1 / slope
    else:
        raise _nothing(where)
    if fx <= 0 or fy <= 0:
        raise IdfError(f"The intrinsics of {where} are not positive",
                       f"fl_x {fx}, fl_y {fy}, w {jw}, h {jh}", "give pixels above 0")
    cx, cy = e.get("cx"), e.get("cy")
    cx, cy = jw / 2 if cx is None else cx, jh / 2 if cy is None else cy
    if 0 < cx <= 1 and 0 < cy <= 1 and min(jw, jh) > 8:  # no lens looks into a corner
        if fx < 20 and fy < 20:
            fx, fy = fx * jw, fy * jh
        cx, cy = cx * jw, cy * jh
        remarks.append("the picture's center is given in parts of its width and height")
    return fx, fy, cx, cy, 0.0, False, remarks


def _of_angle(angle: float, size: float, key: str, where: str) -> float:
    if not 0 < angle < math.pi:
        raise IdfError(f"`{key}` of {where} is not an angle between 0 and π",
                       f"{angle} (radians)", "give the angle of view in "
                       f"{'degrees' if key.endswith('_fov') else 'radians'}")
    return 0.5 * size / math.tan(0.5 * angle)


def _of_matrix(value, key: str, e: Values, jw: float, jh: float, remarks: list[str]):
    """Return fx, fy, cx, cy, skew of a 3x3 matrix (its 3x4 and 4x4 forms, flat ones too)."""
    m = as_array(value)
    if m.shape in ((9,), (16,)):
        m = m.reshape(math.isqrt(len(m)), -1)
    m = m[:3, :3] if m.ndim == 2 else m
    if m.shape == (3, 3) and np.abs(m[2, :2]).max() > 0 and np.abs(m[:2, 2]).max() == 0:
        m = m.T  # column after column, as Open3D writes it
    if m.shape != (3, 3) or not (np.abs(m) < 1e30).all() or abs(m[2, 2]) < 1e-12 \
            or np.abs(m[2, :2]).max() > 1e-9 * abs(m[2, 2]) or abs(m[1, 0]) > 1e-6 * abs(m[1, 1]):
        raise IdfError(f"`{key}` of {e.where} is no matrix of intrinsics", repr(value)[:100],
                       "give [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels")
    m = m / m[2, 2]
    fx, skew, cx, fy, cy = m[0, 0], m[0, 1], m[0, 2], m[1, 1], m[1, 2]
    if fx <= 0 or fy <= 0:
        raise IdfError(f"`{key}` of {e.where} has no positive focal length", f"{fx:g}, {fy:g}",
                       "give pixels above 0; mirrored pictures have to be mirrored back")
    if 0 < cx <= 1 and 0 < cy <= 1 and fx < 20 and fy < 20:
        remarks.append(f"`{key}` is taken as parts of the picture's width and height")
        fx, skew, cx, fy, cy = fx * jw, skew * jw, cx * jw, fy * jh, cy * jh
    return fx, fy, cx, cy, skew


def _nothing(where: str) -> IdfError:
    return IdfError(f"{where} has no intrinsics", "none of camera_angle_x, fl_x, K, intrinsics",
                    "add `camera_angle_x` (radians) at the top of the file")


def _check(fx: float, fy: float, lens: Lens, where: str) -> None:
    w, h = lens.width, lens.height
    if not (NEAREST * w < fx < 1e6 * w and NEAREST * h < fy < 1e6 * h
            and abs(lens.cx) < 1e3 * w and abs(lens.cy) < 1e3 * h):
        raise IdfError(f"The intrinsics of {where} belong to no camera",
                       f"focal length {fx:.4g}, {fy:.4g}, center {lens.cx:.4g}, {lens.cy:.4g} "
                       f"pixels in a picture of {w}x{h}",
                       "check their unit: pixels, angles in radians")


def checked_panorama(lens: Lens, where: str) -> Lens:
    if abs(lens.width / lens.height - 2) > 0.02:
        raise IdfError(f"The {lens.model.lower()} panorama of {where} does not show all around",
                       f"{lens.width}x{lens.height} pixels, not twice as wide as high",
                       "give whole panoramas, or cut them into perspective views")
    return lens
