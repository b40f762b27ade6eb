"""GHOST's two networks: the generator by upstream's own code, and the recognizer.

The code comes from a clone at ea23cce (`idf download ghost`, or the user's by IDF_GHOST); it is
imported only where its hashes are the pinned ones.
"""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import IdfError
from ...runtime import download
from ...runtime.weights import fit_state, load_state
from .iresnet import IResNet
from .model_files import SWAP_FILES

SIDE = 256  # pixels, the generator's picture
_IMPORT = threading.Lock()


@dataclass(frozen=True)
class GhostFiles:
    """code: the folder that holds `network/`. generator, backbone: weights. blocks: 1, 2 or 3."""

    code: Path
    generator: Path
    backbone: Path
    blocks: int = 2

    @classmethod
    def of(cls, name: str) -> GhostFiles:
        """Return the files of the download `ghost`, `ghost_1block` or `ghost_3blocks`; IdfError
        where one is missing."""
        model = SWAP_FILES[name]
        code, backbone = model.needs
        pin = model.pins[0]
        return cls(download.path(code), download.located(download.path(model), pin),
                   download.located(download.path(backbone), backbone.pins[0]),
                   int(pin.file.split("block")[0][-1]))


def generator_class(code: Path):
    """Return upstream's class AEI_Net. Its modules import each other as `network...`; that name is
    free again afterwards. IdfError where the code does not import."""
    with _IMPORT:
        mine = {k: sys.modules.pop(k) for k in list(sys.modules)
                if k == "network" or k.startswith("network.")}
        sys.path.insert(0, str(code))
        try:
            importlib.invalidate_caches()
            return importlib.import_module("network.AEI_Net").AEI_Net
        except (ImportError, AttributeError, SyntaxError) as error:
            raise IdfError(f"GHOST's code in {code} cannot be imported", str(error)[:200],
                           "idf download ghost, or IDF_GHOST=CLONE at commit ea23cce") from error
        finally:
            sys.path.remove(str(code))
            for k in [k for k in sys.modules if k == "network" or k.startswith("network.")]:
                del sys.modules[k]
            sys.modules.update(mine)


@dataclass(frozen=True, eq=False)
class GhostNets:
    """generate: (target (1, 3, 256, 256), embedding (1, 512)) -> picture, all in [-1, 1], as
    upstream's G, which returns it first of two. recognize: (B, 3, 112, 112) -> (B, 512).
    device: "cpu" or "cuda". half: whether the generator works in half precision, as upstream's
    does on a GPU."""

    generate: Callable
    recognize: Callable
    device: str = "cpu"
    half: bool = False

    def embed(self, crops: np.ndarray) -> np.ndarray:
        """Return (B, 224, 224, 3) uint8 -> (B, 512) float32, not normalized: that is how the
        generator wants it."""
        import torch
        import torch.nn.functional as F

        x = torch.from_numpy(np.ascontiguousarray(crops)).to(self.device, torch.float32) / 255
        x = (x.permute(0, 3, 1, 2) - 0.5) / 0.5
        with torch.no_grad():
            x = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=True)
            return self.recognize(x).float().cpu().numpy()

    def swap(self, crop: np.ndarray, embedding: np.ndarray) -> np.ndarray:
        """Return (256, 256, 3) uint8 RGB and (512,) -> the same picture with another face."""
        import torch

        dtype = torch.float16 if self.half else torch.float32
        x = torch.from_numpy(np.ascontiguousarray(crop)).to(self.device, dtype)[None] / 255
        x = ((x - 0.5) / 0.5).permute(0, 3, 1, 2)
        e = torch.from_numpy(np.asarray(embedding, np.float32)).reshape(1, -1)
        with torch.no_grad():
            y, _ = self.generate(x, e.to(self.device, dtype))
            y = (y.permute(0, 2, 3, 1) * 0.5 + 0.5) * 255
            if not torch.isfinite(y).all():
                raise IdfError("GHOST's generator gave NaN or infinity",
                               f"on {self.device}", "its weights are damaged: fetch them again")
            return y[0].type(torch.uint8).cpu().numpy()


@functools.lru_cache(maxsize=1)
def load_nets(files: GhostFiles, device: str = "") -> GhostNets:
    """Return both networks with their weights, once a process (0.7 GB and 0.3 GB).

    device: "cpu", "cuda", "" = a GPU where there is one. IdfError: see `weights.load_state` and
    `weights.fit_state`.
    """
    import torch

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    make = generator_class(files.code)
    with torch.device("meta"):  # no time is lost on random weights
        generator = make("unet", num_blocks=files.blocks, c_id=512)
        recognizer = IResNet()
    generator, recognizer = (_filled(net, path) for net, path in
                             ((generator, files.generator), (recognizer, files.backbone)))
    generator, recognizer = generator.to(device), recognizer.to(device)
    half = device == "cuda"
    return GhostNets(generator.half() if half else generator, recognizer, device, half)


def _filled(net, path: Path):
    return fit_state(net.to_empty(device="cpu"), load_state(path), path)
