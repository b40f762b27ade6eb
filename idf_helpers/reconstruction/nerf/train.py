"""Training a voxel radiance field on views with known cameras: one class with a step, one function.

Explicit grids as in Plenoxels (arXiv 2112.05131) and DVGO (arXiv 2111.11215): no network, analytic
gradients, coarse to fine. A step takes random pixels of all views; every rate and threshold goes by
the part of the run that is over, in steps or in seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from ...data.training_views import TrainingViews
from ...errors import IdfError
from ...kernels.threads import run_on_threads
from ..splats.train import COLORS, background_mode
from ..trainer import Progress, ResumableTrainer, State, train_loop
from .bounds import MARGIN, Bounds, carve, find_bounds
from .config import VoxelConfig
from .grid import MAX_VERTICES, VoxelGrid, check_vertices
from .march import POSE, RAYS, RECORD, SLAB, add_gradients, mark_hits, order_samples, trace
from .optimize import adam_step, add_variation
from .scene import VoxelScene
from .vertex_simd import LANES, vectors

SAVE_EVERY = 250  # steps between two copies of the state to go back to, on NaN, kill or interrupt
LR_DENSITY, LR_COLOR = 0.4, 0.04  # Adam's, per step, of the raw density and the color at the start
FINAL = 0.03  # factor on both at the end, exponential on the way
TV_LIMIT = 0.5  # difference of two neighbors beyond which their pull no longer grows
COPIES = 7  # of the rows while training: parameters, two moments, each saved, and gradients
COARSEST = 4  # the first cells are so many times as long as the last


class Pixels:
    """All training pixels whose ray passes the field, flat: view, column, row, color."""

    def __init__(self, views: TrainingViews):
        rgba = [p if len(p) == 4 else np.concatenate([p, np.full_like(p[:1], 255)])
                for p in views.pixels]
        self.colors = np.concatenate([p.reshape(4, -1).T for p in rgba])
        sizes = [p[0].size for p in views.pixels]
        self.offsets = np.cumsum([0, *sizes])
        self.widths = np.array([p.shape[2] for p in views.pixels])
        self.known = np.concatenate([
            ~views.unseen[k].ravel() if k in views.unseen else np.ones(n, bool)
            for k, n in enumerate(sizes)])
        self.chosen = np.flatnonzero(self.known)

    def choose(self, grid: VoxelGrid, skip: np.ndarray, views: TrainingViews) -> None:
        """Leave out the pixels that see nothing but background, whatever the field becomes."""
        poses = np.stack([grid.pose(c) for c in views.cameras])
        hits = []
        for v, camera in enumerate(views.cameras):
            seen = np.empty((camera.height, camera.width), np.uint8)
            run_on_threads(mark_hits, skip, poses, v, camera.width, camera.height, np.float32(0),
                           seen)
            hits.append(seen.ravel())
        self.chosen = np.flatnonzero(np.concatenate(hits).astype(bool) & self.known)

    def draw(self, rng: np.random.Generator, count: int):
        """Return (views, columns, rows) int32 and colors (count, 4) uint8 of random pixels."""
        at = self.chosen[rng.integers(0, len(self.chosen), count)]
        view = np.searchsorted(self.offsets, at, side="right") - 1
        row, column = np.divmod(at - self.offsets[view], self.widths[view])
        return (view.astype(np.int32), column.astype(np.int32), row.astype(np.int32),
                self.colors[at])


class Trainer(ResumableTrainer):
    """State of one training. `step()` until `done`; `scene()` at any time."""

    unit = "voxels"

    def __init__(self, views: TrainingViews, config: VoxelConfig):
        self.views, self.config = views, config.checked()
        self.background = background_mode(views, config)
        self.bounds: Bounds = find_bounds(views)
        self.rng = np.random.default_rng(config.seed)
        self.grid, self.hull = self._first_grid()
        self.pixels = Pixels(views)
        self.level = 0
        self._capacity = RAYS * 64
        self._new_rows()
        if not len(self.grid) or not (self.skip == 0).any():
            raise IdfError("The silhouettes leave no room for a head", "no whole cell inside them",
                           "check that the cameras belong to the pictures, or take a finer grid")
        self.pixels.choose(self.grid, self.skip, views)
        if not len(self.pixels.chosen):
            raise IdfError("No camera sees the field", "no ray of a training view passes it",
                           "check the cameras: OpenGL camera-to-world, looking along -z")
        self._saved = self.state()

    def _first_grid(self) -> tuple[VoxelGrid, np.ndarray]:
        cells = self.config.grid or self._cells_across()
        cells = max(cells, 16)
        voxel = self.bounds.longest / cells * COARSEST
        size = np.ceil((self.bounds.high - self.bounds.low) / voxel).astype(int) + 2 * MARGIN + 1
        center = (self.bounds.low + self.bounds.high) / 2
        origin = center - voxel * (size - 1) / 2
        hull = carve(self.views, origin, voxel, tuple(size))
        return VoxelGrid.from_mask(_grown(hull), origin, voxel, self.config.sh_degree), hull

    def _cells_across(self) -> int:
        """Cells for the head's size in the pictures: 0.85 of the pixels that the field's longest
        side covers in the median view, 96 to 256."""
        center = (self.bounds.low + self.bounds.high) / 2
        wide = [c.fx * self.bounds.longest / max(c.project(center[None])[1][0], 1e-6)
                for c in self.views.cameras]
        return int(np.clip(0.85 * np.median(wide), 96, 256))

    # --- schedule ---------------------------------------------------------------------------------

    def learning_rates(self) -> tuple[float, float]:
        """Return the rates of the raw density and of the color."""
        factor = FINAL**self.fraction * self.rate_factor
        return self.config.rate * LR_DENSITY * factor, self.config.rate * LR_COLOR * factor

    # --- one step ---------------------------------------------------------------------------------

    def step(self) -> float:
        """Take a batch of rays: render, compare, move; return a channel's mean squared error.

        Non-finite numbers bring back the last good state (at most 250 steps old) with half the
        learning rates; IdfError after three times.
        """
        start = time.perf_counter()
        c = self.config
        self._refine_if_due()
        batch = self.pixels.draw(self.rng, c.rays)
        background = self._backgrounds()
        jitter = self.rng.random(c.rays, np.float32)
        loss = self._gradients(*batch, background, jitter) / 3
        if not math.isfinite(loss):
            self._roll_back("the loss")
            return loss
        add_variation(self.grid.wide, self.grid, self.gradients, self.touched,
                      c.tv_density / c.rays, c.tv_color / c.rays, TV_LIMIT)
        self.iteration += 1
        self.level_steps += 1
        adam_step(self.grid.wide, self.grid, self.first, self.second, self.gradients, self.touched,
                  *self.learning_rates(), self.level_steps)
        self.take_mse(float(loss))
        if self.iteration % c.occupancy_every == 0:
            self.skip = self.grid.skip()
        self.seconds += time.perf_counter() - start
        if self.iteration % SAVE_EVERY == 0 or self.done:
            self._save_state()
        return loss

    def _backgrounds(self) -> np.ndarray:
        n = self.config.rays
        if self.background == "random":
            return self.rng.random((n, 3), np.float32)
        return np.tile(np.array(COLORS[self.background], np.float32), (n, 1))

    def _gradients(self, views, columns, rows, colors, background, jitter) -> float:
        """Fill `gradients` and `touched`; return the mean of |C - target|² over the rays."""
        grid, n = self.grid, len(views)
        parts = -(-n // RAYS)
        slabs = -(-grid.slots.shape[0] // SLAB)
        self._room(n, parts)
        used, loss = np.empty(parts, np.int64), np.empty(parts)
        counts = np.empty((parts, slabs), np.int64)
        while True:
            run_on_threads(trace, grid.wide, grid.sh_degree, grid.params, grid.slots, self.skip,
                           self.poses, np.float32(0), views, columns, rows, colors,
                           background, jitter, self._capacity, self.records, self.cells,
                           self.owners, self.rays, used, counts, loss)
            if used.min() >= 0:
                break
            self._capacity *= 2  # a part had more samples than there was room for: once more
            self._room(n, parts)
        # where each part's samples of each slab begin, slab by slab
        ends = np.cumsum(counts.T.ravel()).reshape(slabs, parts).T
        starts = np.ascontiguousarray(ends - counts)
        bounds = np.concatenate([[0], ends[-1]])
        order = self.order[:bounds[-1]]
        cells_per_slab = SLAB * grid.slots.shape[1] * grid.slots.shape[2]
        run_on_threads(order_samples, self.cells, used, self._capacity, cells_per_slab, starts,
                       order)
        for parity in (0, 1):
            run_on_threads(add_gradients, grid.wide, self.gradients, self.touched, grid.slots,
                           self.records, self.cells, self.owners, self.rays, order, bounds, parity)
        self.samples = int(bounds[-1])
        return float(loss.sum()) / n

    def _room(self, rays: int, parts: int) -> None:
        size = parts * self._capacity
        if getattr(self, "records", None) is None or len(self.records) != size:
            self.records = np.empty((size, RECORD), np.float32)
            self.cells, self.owners = np.empty(size, np.int32), np.empty(size, np.int32)
            self.order = np.empty(size, np.int64)
        if getattr(self, "rays", None) is None or len(self.rays) != rays:
            self.rays = np.zeros((rays, LANES * vectors(self.config.sh_degree)), np.float32)

    # --- coarse to fine ---------------------------------------------------------------------------

    def _refine_if_due(self) -> None:
        c = self.config
        while self.level < len(c.levels) and self.fraction >= c.levels[self.level]:
            self.level += 1
            shape = tuple(2 * n - 1 for n in self.grid.slots.shape)
            near_hull = np.repeat(np.repeat(np.repeat(self.hull, 2, 0), 2, 1), 2, 2)
            near_hull = _grown(near_hull[:shape[0], :shape[1], :shape[2]])
            hull = carve(self.views, self.grid.origin, self.grid.voxel / 2, shape, near_hull)
            finer = self.grid.finer(_grown(hull))
            if COPIES * finer.params.nbytes + 8 * finer.slots.nbytes > c.max_memory_mb * 1e6 \
                    or not finer.occupied_cells().any():
                continue  # the cells stay as they are
            self.grid, self.hull = finer, hull
            self._new_rows()

    def _new_rows(self) -> None:
        """Fresh moments and gradients for the grid's rows, and what depends on its shape."""
        self.first, self.second = np.zeros_like(self.grid.params), np.zeros_like(self.grid.params)
        self.gradients = np.zeros_like(self.grid.params)
        self.touched = np.zeros(len(self.grid), np.uint8)
        self.level_steps = 0
        self._fit_to_grid()

    def _fit_to_grid(self) -> None:
        self.skip = self.grid.skip()
        self.poses = np.stack([self.grid.pose(c) for c in self.views.cameras])
        assert self.poses.shape[1] == POSE

    def warm_up(self) -> None:
        """Compile (or load) every kernel, so that the clock does not count it; no effect on the
        result."""
        rng = np.random.default_rng(0)
        batch = self.pixels.draw(rng, RAYS)
        self._gradients(*batch, np.zeros((RAYS, 3), np.float32), rng.random(RAYS, np.float32))
        add_variation(self.grid.wide, self.grid, self.gradients, self.touched, 0.0, 0.0, 1.0)
        adam_step(self.grid.wide, self.grid, self.first, self.second, self.gradients, self.touched,
                  0.0, 0.0, 1)
        self.first[:], self.second[:] = 0, 0
        self.grid.finer()
        self.scene().render(self.views.cameras[0].fitted(16))

    # --- state ------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return a copy of everything that the rest of the run depends on."""
        g = self.grid
        arrays = {"params": g.params, "first": self.first, "second": self.second,
                  "vertices": g.vertices, "shape": np.array(g.slots.shape), "origin": g.origin,
                  "hull": np.packbits(self.hull), "skip": self.skip}
        return State({k: a.copy() for k, a in arrays.items()}, self.counters() | {
            "level": self.level, "level_steps": self.level_steps, "voxel": g.voxel,
            "hull_shape": list(self.hull.shape)})

    growing: ClassVar = {"params": "V", "first": "V", "second": "V", "vertices": "V", "hull": "H"}
    finite = ("params", "origin")

    def schema(self, state: State) -> dict[str, str]:
        """Return the declaration of a state's arrays: the grid becomes finer."""
        return super().schema(state) | {"skip": "u1 X Y Z"}

    def check(self, state: State) -> None:
        """Raise ValueError unless `restore` can go to the state."""
        super().check(state)
        a, meta = state.arrays, state.meta
        for name, high in (("level", len(self.config.levels)), ("level_steps", 2**53)):
            if not isinstance(meta.get(name), int) or not 0 <= meta[name] <= high:
                raise ValueError(f"`{name}` is {meta.get(name)!r}"[:80])
        if not isinstance(meta.get("voxel"), (int, float)) or not 0 < meta["voxel"] < 1e30:
            raise ValueError(f"`voxel` is {meta.get('voxel')!r}"[:80])
        shape = tuple(int(n) for n in a["shape"])
        if min(shape) < 4 or math.prod(shape) > MAX_VERTICES or a["skip"].shape != shape \
                or meta.get("hull_shape") != list(shape) \
                or len(a["hull"]) != -(-math.prod(shape) // 8):
            raise ValueError(f"a grid of {shape}, a hull of {meta.get('hull_shape')}"[:120])
        check_vertices(a["vertices"], shape)
        grid = self._grid_of(state)
        if len(grid) == 0 or ((a["skip"] == 0) & ~grid.whole_cells).any():
            raise ValueError("cells to be rendered that are not whole")

    def _grid_of(self, state: State) -> VoxelGrid:
        a = state.arrays
        slots = np.full(tuple(int(n) for n in a["shape"]), -1, np.int32)
        slots.reshape(-1)[a["vertices"]] = np.arange(len(a["vertices"]), dtype=np.int32)
        return VoxelGrid(a["origin"].copy(), state.meta["voxel"], slots, a["vertices"].copy(),
                         a["params"].copy(), self.config.sh_degree)

    def restore(self, state: State) -> None:
        """Go to a state of the same views and config; what follows does not change `state`."""
        a, meta = state.arrays, state.meta
        self.grid = self._grid_of(state)
        shape = tuple(meta["hull_shape"])
        self.hull = np.unpackbits(a["hull"])[:math.prod(shape)].reshape(shape).astype(bool)
        self._new_rows()
        self.first, self.second = a["first"].copy(), a["second"].copy()
        self.skip = a["skip"].copy()
        self.level, self.level_steps = meta["level"], meta["level_steps"]
        self.set_counters(state)

    def _save_state(self) -> None:
        if not np.isfinite(self.grid.params).all():
            self._roll_back("the field")
            return
        self._saved = self.state()

    def _roll_back(self, where: str) -> None:
        seconds = self.seconds  # the time is spent, whatever became of it
        super()._roll_back(where)
        self.seconds = seconds
        self._saved = self.state()

    # --- results ----------------------------------------------------------------------------------

    def scene(self) -> VoxelScene:
        """Return a copy of the scene trained so far."""
        g = self.grid
        copy = VoxelGrid(g.origin.copy(), g.voxel, g.slots, g.vertices, g.params.copy(),
                         g.sh_degree)
        return VoxelScene(copy, list(self.views.cameras),
                          COLORS.get(self.background, COLORS["white"]),
                          self.report(num_voxels=len(g), voxel=g.voxel))

    @property
    def count(self) -> int:
        return len(self.grid)


def _grown(mask: np.ndarray) -> np.ndarray:
    """Return the mask and its 26 neighbors."""
    from scipy import ndimage

    return ndimage.binary_dilation(mask, np.ones((3, 3, 3)))


def fit(dataset, config: VoxelConfig, *, run=None,
        progress: Callable[[Progress], None] | None = None,
        progress_every_s: float = 0.5) -> VoxelScene:
    """Train on `dataset.train` until the iterations or the budget of `config` are used up.

    run: a `RunFolder`; the run goes on from its latest checkpoint, writes new ones by time, and one
    at an interrupt (KeyboardInterrupt is passed on; the same call again goes on). A run given in
    iterations ends bit-identical however often it was stopped and for any number of threads; a
    budget goes on with what is left. progress: called at most every `progress_every_s` seconds, and
    at the end. Raises IdfError: bad config, no frames, empty alpha, silhouettes without volume,
    cameras inside the object, diverged training.
    """
    views = TrainingViews.load(dataset.train, config.checked().resolution)
    trainer = Trainer(views, config)
    train_loop(trainer, run, progress, progress_every_s)
    return trainer.scene()
