"""One door to both kinds of radiance field."""

from __future__ import annotations

from ... import catalogue as backends
from ...data.dataset import Dataset
from .config import VoxelConfig
from .vanilla.config import VanillaConfig


def train(dataset: Dataset, out, config: VoxelConfig | None = None, *, backend: str = "auto",
          vanilla: VanillaConfig | None = None, resume: bool = True, progress=None):
    """Trains with the backend of that name ("auto": the best that runs here) into the run folder
    `out`; returns the scene. Of `config` vanilla takes iterations, budget, resolution and seed.
    IdfError: see `nerf.train.fit` and `nerf.vanilla.run.train_vanilla`."""
    config = (config or VoxelConfig()).checked()
    chosen, _ = backends.choose("nerf", backend)
    run = chosen.load()
    if chosen.name != "vanilla":
        return run(dataset, out, config, resume=resume, progress=progress)
    from .vanilla.train import Amount

    amount = Amount(config.iterations, config.budget_s, config.resolution, config.seed)
    return run(dataset, out, vanilla, amount=amount, resume=resume, progress=progress)
