"""Files of a trained scene: models, pictures, video, the offline page; each with its mark."""

from .formats import export, render
from .model import Model

__all__ = ["Model", "export", "render"]
