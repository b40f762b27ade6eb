"""Which lens a camera file names, and its parameters under their many names.

nerfstudio's `camera_model` with k1 … or `distortion_params`, instant-ngp's `is_fisheye`,
`ftheta_p0` …, `latlong` and `equirectangular`, and lists in OpenCV's order.
"""

from __future__ import annotations

import numpy as np

from ..errors import IdfError, shorten
from .lens import MODELS
from .numbers import Values, as_array, numbers

OPENCV_LISTS = ("distortion", "dist", "dist_coeffs", "distortion_coefficients", "dist_coef")
OPENCV_ORDER = MODELS["THIN_PRISM"].names  # k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4
ALIASES = {"PERSPECTIVE": "PINHOLE", "SIMPLE_PINHOLE": "PINHOLE", "FISHEYE624":
           "RAD_TAN_THIN_PRISM_FISHEYE", "EQUIDISTANT": "OPENCV_FISHEYE", "KANNALA_BRANDT":
           "OPENCV_FISHEYE", "KB4": "OPENCV_FISHEYE", "SPHERICAL": "EQUIRECTANGULAR", "LATLONG":
           "EQUIRECTANGULAR", "PANORAMA": "EQUIRECTANGULAR", "BROWN": "OPENCV", "RADTAN": "OPENCV",
           "OPENCV5": "OPENCV", "OPENCV8": "FULL_OPENCV"}
STRAIGHT = ("PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV", "POLYNOMIAL",
            "THIN_PRISM")


def camera_model(e: Values) -> str:
    """Return the camera model's name, one of MODELS. IdfError for one that is not known."""
    said = next((v for k in ("camera_model", "camera_type", "lens_model")
                 if (v := e.raw(k)) is not None), None)
    if said is not None and not isinstance(said, str):
        raise IdfError(f"`camera_model` of {e.where} is not a name", repr(said)[:60],
                       f"known are {shorten(MODELS, 20)}")
    name = (said or "").strip().upper().replace("-", "_").replace(" ", "_")
    name = ALIASES.get(name, name)
    if _flag(e, "latlong"):
        name = "EQUIRECTANGULAR"
    elif _flag(e, "equirectangular"):  # instant-ngp's is a cylinder of equal areas
        name = "EQUAL_AREA"
    elif _flag(e, "orthographic"):
        name = "ORTHOGRAPHIC"
    elif e.raw("ftheta_p0") is not None:
        name = "FTHETA"
    elif _flag(e, "is_fisheye") and name in ("", *STRAIGHT, "FISHEYE"):
        name = "OPENCV_FISHEYE"
    if name == "FISHEYE" and any(e.get(k) for k in ("k1", "k2", "k3", "k4")):
        name = "OPENCV_FISHEYE"
    if not name:
        return "PINHOLE"
    if name not in MODELS:
        raise IdfError(f"The `camera_model` of {e.where} cannot be used", f"{said or name}",
                       "export perspective pictures (COLMAP: image_undistorter), or one of "
                       f"{shorten(MODELS, 20)}")
    return name


def _flag(e: Values, key: str) -> bool:
    value = e.raw(key)
    if value not in (None, 0, 1):
        raise IdfError(f"`{key}` of {e.where} is neither true nor false", repr(value)[:60],
                       "write true or false, without quotation marks")
    return bool(value)


def distortion(e: Values, model: str) -> tuple[str, tuple[float, ...]]:
    """Return the model that its parameters make it, and these."""
    given = _listed(e, model)
    if model in STRAIGHT:
        return _straight(e, model, given)
    names = MODELS[model].names
    alias = {"k1": ("k",)} if "k1" in names else {}
    values = given or {n: e.first(n, *alias.get(n, ())) for n in names}
    if model == "RAD_TAN_THIN_PRISM_FISHEYE" and not given and e.get("k6") is not None:
        # counted from 1, as often as from 0
        shift = {f"k{i}": f"k{i + 1}" for i in range(6)} | {"p0": "p1", "p1": "p2"} \
            | {f"s{i}": f"s{i + 1}" for i in range(4)}
        values = {n: e.get(shift[n]) for n in names}
    if not given and names and all(v is None for v in values.values()) \
            and model not in ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE"):
        raise IdfError(f"The lens {model} of {e.where} has no parameters",
                       f"none of {', '.join(names)}", "export the cameras again")
    return model, tuple(float(values.get(n) or 0.0) for n in names)


def _listed(e: Values, model: str) -> dict[str, float]:
    """Return {name: value} of a list of parameters, {} where there is none.

    nerfstudio's `distortion_params` are k1 k2 k3 k4 p1 p2, or all twelve of FISHEYE624; other
    lists are in OpenCV's order."""
    if e.raw("distortion_params") is not None:
        values = numbers(e.raw("distortion_params"), "distortion_params", e.where)
        names = {6: _words("k1 k2 k3 k4 p1 p2"), 4: _words("k1 k2 k3 k4"),
                 12: MODELS["RAD_TAN_THIN_PRISM_FISHEYE"].names}.get(len(values), ())
        if not names or (len(values) == 12) != (model == "RAD_TAN_THIN_PRISM_FISHEYE") \
                or (len(values) == 4 and model in STRAIGHT):
            raise IdfError(f"`distortion_params` of {e.where} cannot be told apart",
                           f"{len(values)} values for {model}",
                           "give k1, k2, k3, k4, p1, p2 as nerfstudio does, or one key for each")
        return dict(zip(names, values, strict=True))
    key = next((k for k in OPENCV_LISTS if e.raw(k) is not None), None)
    if key is None:
        return {}
    values = np.ravel(as_array(e.raw(key)))
    values = numbers(values.tolist(), key, e.where)
    if not values.any():
        return {}
    order = MODELS[model].names if model not in STRAIGHT else OPENCV_ORDER
    if len(values) not in ((len(order),) if model not in STRAIGHT else (4, 5, 8, 12)):
        raise IdfError(f"`{key}` of {e.where} cannot be told apart",
                       f"{len(values)} values for {model}",
                       "give 4, 5, 8 or 12 in OpenCV's order: k1, k2, p1, p2, k3, …")
    return dict(zip(order, values, strict=False))


def _straight(e: Values, model: str, given: dict) -> tuple[str, tuple[float, ...]]:
    values = given or {n: e.get(n) for n in OPENCV_ORDER}
    if not given and values["k1"] is None:
        values["k1"] = e.get("k")
    p = [float(values.get(n) or 0.0) for n in OPENCV_ORDER]
    named = any(e.raw(k) is not None for k in OPENCV_LISTS) and bool(given)
    if any(p[8:]):
        return "THIN_PRISM", tuple(p)
    if any(p[6:8]) or (p[5] and (model == "FULL_OPENCV" or named)):
        return "FULL_OPENCV", tuple(p[:8])
    if p[5]:  # nerfstudio's and Metashape's k4 goes on where k3 ends
        return "POLYNOMIAL", tuple(p[:6])
    if p[4]:
        return "FULL_OPENCV", tuple(p[:8])
    return ("OPENCV", tuple(p[:4])) if any(p[:4]) else ("PINHOLE", ())


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())
