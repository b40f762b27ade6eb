"""nerfacc (nerfstudio-project/nerfacc, MIT) in place of the coarse network: an occupancy grid says
where samples are worth their time. Written against nerfacc 0.5.3 (estimators/occ_grid.py,
volrend.py); an extra, imported when it is asked for.
"""

from __future__ import annotations

import numpy as np
import torch

from ....errors import IdfError
from ....runtime.cuda import find_package
from .network import Field
from .volume import Rendered

RESOLUTION = 128  # cells of the occupancy grid along each side
STEPS = 1024  # marching steps across the box's diagonal


def lacks_nerfacc() -> str | None:
    """Return what is missing for it, with the command to get it."""
    if find_package("nerfacc") is None:
        return 'nerfacc is not installed: pip install "nerfacc>=0.5.3"'
    return None if torch.cuda.is_available() else "nerfacc needs an NVIDIA GPU"


class OccupancySampler:
    """Renders rays of a field with nerfacc. low, high: (3,) corners of the box to march through."""

    def __init__(self, field: Field, low, high, device):
        lack = lacks_nerfacc()
        if lack:
            raise IdfError("The samples cannot be taken by nerfacc here", lack,
                           "leave `nerfacc` out")
        import nerfacc

        self.nerfacc, self.field = nerfacc, field
        box = torch.tensor(np.concatenate([low, high]), dtype=torch.float32, device=device)
        self.estimator = nerfacc.OccGridEstimator(box, resolution=RESOLUTION, levels=1).to(device)
        self.step_size = float(np.linalg.norm(np.asarray(high) - low)) / STEPS

    def _query(self, points, directions):
        return self.field.query(points[:, None], directions, True)[:, 0].float()

    def update(self, step: int) -> None:
        """Look at which cells are empty, every 16 steps."""
        def occupancy(points):
            down = torch.zeros_like(points)
            down[:, 2] = -1
            return self._query(points, down)[:, 3:4].relu() * self.step_size

        self.estimator.update_every_n_steps(step=step, occ_eval_fn=occupancy, occ_thre=1e-2)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return a copy of its state: density and occupancy of the cells."""
        kept = self.estimator.state_dict()
        return {k: kept[k].cpu().numpy().copy() for k in ("occs", "binaries") if k in kept}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go back to the state that `arrays` returned."""
        for name, values in arrays.items():
            getattr(self.estimator, name).copy_(torch.from_numpy(values))

    def render(self, origins, directions, near: float, far: float, *, white: bool,
               training: bool) -> Rendered:
        """Render as `volume.render_rays`; z becomes nerfacc's distance along the ray and back."""
        length = directions.norm(dim=-1, keepdim=True)
        unit = directions / length

        def at(starts, ends, ray):
            middle = 0.5 * (starts + ends)[:, None]
            return self._query(origins[ray] + unit[ray] * middle, unit[ray])

        def density(starts, ends, ray):
            return at(starts, ends, ray)[:, 3].relu()

        def color_and_density(starts, ends, ray):
            raw = at(starts, ends, ray)
            return torch.sigmoid(raw[:, :3]), raw[:, 3].relu()

        ray, starts, ends = self.estimator.sampling(
            origins, unit, sigma_fn=density, t_min=near * length[:, 0], t_max=far * length[:, 0],
            render_step_size=self.step_size, stratified=training)
        behind = torch.full((3,), float(white), device=origins.device)
        rgb, alpha, depth, _ = self.nerfacc.rendering(
            starts, ends, ray, n_rays=len(origins), rgb_sigma_fn=color_and_density,
            render_bkgd=behind)
        alpha = alpha[:, 0]
        z = depth[:, 0] / length[:, 0]
        return Rendered(rgb, 1 / z.clamp(min=1e-10), alpha, z, None)


def sampler_box(trainer) -> dict | None:
    """Return what a scene that was trained with nerfacc is drawn with: box and occupied cells."""
    if trainer.sampler is None:
        return None
    cells = trainer.sampler.estimator.binaries.cpu().numpy()
    return {"low": trainer.bounds.low, "high": trainer.bounds.high, "shape": list(cells.shape),
            "cells": np.packbits(cells).tobytes().hex()}


def sampler_of(field: Field, box: dict | None, file) -> OccupancySampler | None:
    """Return the sampler of such a box. IdfError where it is damaged."""
    if box is None:
        return None
    device = next(field.parameters()).device
    try:
        low, high = np.asarray(box["low"], float), np.asarray(box["high"], float)
        cells = np.unpackbits(np.frombuffer(bytes.fromhex(box["cells"]), np.uint8))
        cells = cells[:int(np.prod(box["shape"]))].reshape(box["shape"]).astype(bool)
    except (KeyError, TypeError, ValueError) as error:
        raise IdfError(f"The settings {file} are damaged", str(error)[:120],
                       "delete that folder and run the stage again") from None
    sampler = OccupancySampler(field, low, high, device)
    sampler.estimator.binaries = torch.from_numpy(cells).to(device)
    return sampler
