"""Colors of a picture file that are not sRGB: into sRGB, and back for what is written again.

LittleCMS, in Pillow, converts by the file's ICC profile: RGB (Display P3 of phones, Adobe RGB),
gray, CMYK, Lab. Cameras that are set to Adobe RGB may say so in EXIF alone (DCF 2.0: ColorSpace
"uncalibrated", interoperability index R03); then the matrix of Adobe RGB (1998), 4.3.6.1, is used.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from .coded_color import by_rows

ADOBE_TO_SRGB = np.array([[1.39836, -0.39836, 0.0], [0.0, 1.0, 0.0], [0.0, -0.04294, 1.04294]])
ADOBE_GAMMA = 563 / 256
_OUT_OF = {"RGB": "RGB", "P": "RGB", "RGBA": "RGB", "L": "GRAY", "LA": "GRAY", "CMYK": "CMYK",
           "LAB": "Lab"}


@dataclass(frozen=True, eq=False)
class Stored:
    """The colors of a file as they are in it.

    profile: ICC profile, RGB. name: what it calls itself. stored, seen: (H, W, 3) uint8 in the
    file's colors, and the same in sRGB.
    """

    profile: bytes
    name: str
    stored: np.ndarray
    seen: np.ndarray

    def back(self, image: np.ndarray) -> np.ndarray:
        """Return (H, W, 3|4) uint8 sRGB, changed after reading, in the file's colors; what was not
        changed is as it was, colors beyond sRGB included."""
        from PIL import Image, ImageCms

        rgb = np.ascontiguousarray(image[..., :3])
        out = np.array(ImageCms.profileToProfile(
            Image.fromarray(rgb), ImageCms.createProfile("sRGB"), _opened(self.profile)))
        same = (rgb == self.seen).all(-1)
        out[same] = self.stored[same]
        return np.concatenate([out, image[..., 3:]], axis=2)


def _opened(profile: bytes):
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def profile_name(image) -> str:
    """Return what the profile of a Pillow picture calls itself, "" where its colors are sRGB, or it
    has none that can be read and fits the picture."""
    from PIL import ImageCms

    profile, space = image.info.get("icc_profile"), _OUT_OF.get(image.mode)
    if not profile or space in (None, "Lab"):
        return ""
    try:
        opened = _opened(profile)
        name = " ".join(ImageCms.getProfileDescription(opened).split())
        if opened.profile.xcolor_space.strip() != space:
            return ""
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return ""
    return "" if space == "RGB" and "srgb" in name.lower() else name[:60] or "its own profile"


def in_srgb(image):
    """Return a Pillow picture in sRGB, (RGB or RGBA), or as it is where nothing says that its
    colors are others."""
    from PIL import Image, ImageCms

    if image.mode == "LAB":
        return ImageCms.profileToProfile(image, ImageCms.createProfile("LAB"),
                                         ImageCms.createProfile("sRGB"), outputMode="RGB")
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    if profile_name(image):
        plain = image.convert(image.mode[:-1]) if alpha else image
        try:
            out = ImageCms.profileToProfile(plain, _opened(image.info["icc_profile"]),
                                            ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return image
    elif image.mode == "RGB" and says_adobe(image):
        out = Image.fromarray(by_rows(np.asarray(image), _from_adobe))
    else:
        return image
    if alpha is not None:
        out.putalpha(alpha)
    return out


def _from_adobe(rgb: np.ndarray) -> np.ndarray:
    linear = np.clip((rgb / 255.0) ** ADOBE_GAMMA @ ADOBE_TO_SRGB.T, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * srgb + 0.5).astype(np.uint8)


def says_adobe(image) -> bool:
    """Whether EXIF alone says that the colors of a Pillow picture are Adobe RGB."""
    if image.info.get("icc_profile") or image.format not in ("JPEG", "MPO", "TIFF", None):
        return False  # asked for its EXIF, Pillow decodes a whole PNG
    exif = image.getexif()
    return exif.get_ifd(0x8769).get(0xA001) == 0xFFFF and exif.get_ifd(0xA005).get(1) == "R03"
