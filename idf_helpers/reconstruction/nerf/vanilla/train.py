"""Training the paper's NeRF: nerf-pytorch's loop, with this project's clock, checkpoints and stop.

Each step: random rays of one picture (no_batching; at first of its middle) or of all, squared error
of the fine and of the coarse color, Adam, a rate that falls to a tenth in 1000·lrate_decay steps.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

import numpy as np
import torch

from ....data.training_views import TrainingViews
from ....errors import IdfError
from ...trainer import Progress, ResumableTrainer, State
from ..bounds import Bounds, find_bounds
from . import checkpoint
from .config import VanillaConfig, check_depths
from .network import Field
from .options import NerfOptions
from .scene import VanillaScene
from .volume import camera_rays, render_rays

SAVE_EVERY = {"cpu": 10, "cuda": 250}  # steps between two copies of the state
FIRST_DRAWS = 16  # of the networks' weights, at most
BLENDER_DEPTHS = 2.0, 6.0  # nerf-pytorch's for synthetic scenes


def depths(config: VanillaConfig, options: NerfOptions, bounds: Bounds) -> tuple[float, float]:
    """Return (near, far). IdfError where near >= far, or where the head does not lie between them.
    """
    near, far = bounds.near, bounds.far
    if config.config and options.dataset_type == "blender":
        near, far = BLENDER_DEPTHS
    near, far = config.near or near, config.far or far
    check_depths(near, far)
    if far <= bounds.near or near >= bounds.far:
        raise IdfError("The head does not lie between `near` and `far`",
                       f"near {near:g}, far {far:g}; the cameras see it between {bounds.near:.3g} "
                       f"and {bounds.far:.3g}", "give `near` and `far` in the dataset's units")
    return near, far


class VanillaTrainer(ResumableTrainer):
    """State of one training."""

    remedy, unit = "lower lrate in the config file", "parameters"

    def __init__(self, views: TrainingViews, options: NerfOptions, config: VanillaConfig):
        self.views, self.options = views, options.checked()
        self.bounds = find_bounds(views)
        self.near, self.far = depths(config, options, self.bounds)
        self.device = torch.device(pick_device(config.device))
        on_cuda = self.device.type == "cuda"
        if on_cuda and config.iterations is None and config.budget_s is None:
            config = replace(config, iterations=config.default_iterations)
        self.config = config.checked()
        self.field = first_field(options, config.seed, self.bounds)
        self.field.to(self.device)
        parameters = list(self.field.parameters())
        self.optimizer = torch.optim.Adam(parameters, lr=options.lrate, betas=(0.9, 0.999))
        self.offset, self.start = 0.5 if config.rays != "corner" else 0.0, 0
        if options.ft_path:
            self._start_from(options.ft_path)
        self.sampler = None
        if config.nerfacc:
            from .nerfacc_sampler import OccupancySampler

            self.sampler = OccupancySampler(self.field, self.bounds.low, self.bounds.high,
                                            self.device)
        self.amp = on_cuda and config.mixed_precision
        dtype = torch.bfloat16 if on_cuda and torch.cuda.is_bf16_supported() else torch.float16
        self.half = dtype
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.amp and dtype == torch.float16)
        if config.compile:
            self.field.coarse.compile()
            if self.field.fine is not None:
                self.field.fine.compile()
        self._load_rays()
        self.generator = torch.Generator().manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self._epoch, self._order = -1, None
        self._saved = self.state()

    def warm_up(self) -> None:
        """Compile the networks where the config says so."""
        if self.config.compile:
            saved = self._saved
            self.step()
            self.restore(saved)

    def _start_from(self, path) -> None:
        data = checkpoint.read(path)
        self.start = checkpoint.load_into(self.field, data, path)
        if self.config.rays == "auto":
            self.offset = checkpoint.ray_offset(data)
        optimizer = data.get("optimizer_state_dict")
        if isinstance(optimizer, dict):
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                self._take_moments(optimizer)  # not where they are of other networks

    def _take_moments(self, there: dict) -> None:
        """Load the optimizer's state; ValueError where its moments are of other shapes."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for k, moments in there["state"].items():
            for name in ("exp_avg", "exp_avg_sq"):
                if moments[name].shape != parameters[k].shape:
                    raise ValueError(f"{name} of parameter {k} has another shape")
        self.optimizer.load_state_dict(there)

    def _load_rays(self) -> None:
        """Cameras as tensors, and all pictures flat, 8 bits, over the background."""
        self.matrices = [camera_rays(c, self.offset) for c in self.views.cameras]
        behind = np.full(3, float(self.options.white_bkgd), np.float32)
        self.targets = [torch.from_numpy(np.ascontiguousarray(
            self.views.target(i, behind).transpose(1, 2, 0))) for i in range(len(self.views))]

    # --- schedule ---------------------------------------------------------------------------------

    @property
    def global_step(self) -> int:
        """Steps of this training and of the checkpoint that it began with."""
        return self.start + self.iteration

    # --- one step ---------------------------------------------------------------------------------

    def step(self) -> float:
        """Take one batch of rays; return the fine color's mean squared error. Non-finite losses
        bring back the last state with half the rate; IdfError after three times."""
        began = time.perf_counter()
        origins, directions, target = (t.to(self.device) for t in self._batch())
        with torch.autocast(self.device.type, self.half, enabled=self.amp):
            out = self._render(origins, directions)
        error = ((out.rgb - target) ** 2).mean()
        loss = error if out.coarse is None else error + ((out.coarse - target) ** 2).mean()
        if not torch.isfinite(loss):
            self._roll_back("the loss")
            return float(loss.detach())
        self.optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:  # not where every ray passes through empty cells alone
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        rate = self.options.lrate * 0.1 ** (self.global_step / (1000 * self.options.lrate_decay))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.rate_factor
        self.iteration += 1
        value = float(error.detach())
        self.take_mse(value)
        self.seconds += time.perf_counter() - began
        if self.iteration % SAVE_EVERY[self.device.type] == 0 or self.done:
            self._saved = self.state()
        return value

    def _render(self, origins, directions):
        if self.sampler is not None:
            self.sampler.update(self.iteration)
            return self.sampler.render(origins, directions, self.near, self.far,
                                       white=self.options.white_bkgd, training=True)
        return render_rays(self.field, origins, directions, self.near, self.far,
                           white=self.options.white_bkgd, generator=self.generator)

    def _batch(self):
        """Origins, directions and colors (N_rand, 3) of this step."""
        o = self.options
        if o.no_batching:
            v = int(self.rng.integers(len(self.views)))
            camera = self.views.cameras[v]
            rows, columns = np.arange(camera.height), np.arange(camera.width)
            if self.global_step + 1 < o.precrop_iters:
                rows, columns = (middle(n, o.precrop_frac) for n in (camera.height, camera.width))
            count = min(o.N_rand, len(rows) * len(columns))
            at = self.rng.choice(len(rows) * len(columns), count, replace=False)
            i, j = rows[at // len(columns)], columns[at % len(columns)]
            return self._rays_at(v, i, j)
        sizes = np.cumsum([0] + [c.width * c.height for c in self.views.cameras])
        per_epoch = -(-int(sizes[-1]) // o.N_rand)
        epoch, k = divmod(self.iteration, per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            rng = np.random.default_rng([self.config.seed, epoch])
            self._order = rng.permutation(int(sizes[-1]))
        at = self._order[k * o.N_rand:(k + 1) * o.N_rand]
        view = np.searchsorted(sizes, at, side="right") - 1
        parts = []
        for v in np.unique(view):
            here = at[view == v] - sizes[v]
            i, j = np.divmod(here, self.views.cameras[v].width)
            parts.append(self._rays_at(v, i, j))
        return tuple(torch.cat(p) for p in zip(*parts, strict=True))

    def _rays_at(self, v: int, i, j):
        if v in self.views.unseen:  # rays that the lens did not see have no color
            known = ~self.views.unseen[v][i, j]
            i, j = (i[known], j[known]) if known.any() else (i, j)
        origin, directions = self.matrices[v]
        d = torch.from_numpy(directions[i, j])
        return torch.from_numpy(origin).expand(len(d), 3), d, self.targets[v][i, j]

    # --- state ------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return a copy of everything that the rest of the run depends on."""
        arrays = {f"field.{k}": v.detach().cpu().numpy().copy()
                  for k, v in self.field.state_dict().items()}
        for k, values in self.optimizer.state_dict()["state"].items():
            for name, value in values.items():
                arrays[f"adam.{k}.{name}"] = value.detach().cpu().numpy().copy()
        if self.sampler is not None:
            arrays |= {f"sampler.{k}": v for k, v in self.sampler.arrays().items()}
        arrays["generator"] = self.generator.get_state().numpy().copy()
        return State(arrays, self.counters() | {"lr": self.optimizer.param_groups[0]["lr"]})

    def schema(self, state: State) -> dict[str, str]:
        """Return the declaration of a state's arrays: moments come with the first step."""
        own = {k: v for k, v in super().schema(state).items() if not k.startswith("adam.")}
        for k, p in enumerate(self.optimizer.param_groups[0]["params"]):
            shape = " ".join(map(str, p.shape))
            own |= {f"adam.{k}.step?": "f", f"adam.{k}.exp_avg?": f"f {shape}",
                    f"adam.{k}.exp_avg_sq?": f"f {shape}"}
        return own

    def check(self, state: State) -> None:
        """Raise ValueError unless `restore` can go to the state."""
        if not isinstance(state.meta.get("lr"), (int, float)):
            raise ValueError(f"`lr` is {state.meta.get('lr')!r}"[:80])
        super().check(state)
        moments = [k for k in state.arrays if k.startswith("adam.")]
        if moments and len(moments) != 3 * len(self.optimizer.param_groups[0]["params"]):
            raise ValueError("the optimizer's moments of a part of the network")
        try:
            torch.Generator().set_state(torch.from_numpy(state.arrays["generator"].copy()))
        except RuntimeError as error:
            raise ValueError(f"the random state: {error}"[:160]) from None

    def restore(self, state: State) -> None:
        """Go to a state of the same views and settings."""
        a, meta = state.arrays, state.meta
        self.field.load_state_dict({k.removeprefix("field."): torch.from_numpy(v.copy())
                                    for k, v in a.items() if k.startswith("field.")})
        moments: dict[int, dict] = {}
        for key, value in a.items():
            if key.startswith("adam."):
                _, k, name = key.split(".")
                moments.setdefault(int(k), {})[name] = torch.from_numpy(np.array(value))
        whole = self.optimizer.state_dict() | {"state": moments}
        whole["param_groups"][0]["lr"] = meta["lr"]
        self.optimizer.load_state_dict(whole)
        if self.sampler is not None:
            self.sampler.restore({k.removeprefix("sampler."): v for k, v in a.items()
                                  if k.startswith("sampler.")})
        self.generator.set_state(torch.from_numpy(a["generator"].copy()))
        self.set_counters(state)

    # --- results ----------------------------------------------------------------------------------

    def scene(self) -> VanillaScene:
        white = float(self.options.white_bkgd)
        report = self.report(global_step=self.global_step)
        return VanillaScene(self.field, self.near, self.far, list(self.views.cameras),
                            (white,) * 3, report, self.offset, self.sampler)

    @property
    def count(self) -> int:
        return sum(p.numel() for p in self.field.parameters())

    def progress(self) -> Progress:
        """Return how far the training is; its preview is small, a whole one takes minutes."""
        whole = super().progress()

        def preview(camera, background=None):
            size = min(64, max(camera.width, camera.height))
            return whole.preview(camera.fitted(size), background)

        return replace(whole, preview=preview)


def first_field(options: NerfOptions, seed: int, bounds: Bounds) -> Field:
    """Return untrained networks. A draw whose density is nowhere positive in the
    box would pass no gradient and stay empty forever; then the next one is taken."""
    probe = np.random.default_rng(0).uniform(bounds.low, bounds.high, (256, 1, 3))
    points = torch.tensor(probe, dtype=torch.float32)
    down = torch.tensor([[0.0, 0.0, -1.0]]).expand(len(points), 3)
    for attempt in range(FIRST_DRAWS):
        torch.manual_seed(seed + attempt * 1_000_003)
        field = Field(options)
        with torch.no_grad():
            alive = [bool((field.query(points, down, fine)[..., 3] > 0).float().mean() > 0.05)
                     for fine in (False, True)]
        if all(alive):
            break
    return field


def middle(n: int, share: float) -> np.ndarray:
    """Return the rows or columns of a picture's middle, as precrop takes them."""
    half = max(1, int(n // 2 * share))
    return np.arange(n // 2 - half, n // 2 + half)


def pick_device(name: str) -> str:
    """Return "cpu" or "cuda"; IdfError where CUDA is asked for and missing."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        from ....runtime.cuda import lacks_gpu

        raise IdfError("torch cannot use a GPU here", lacks_gpu() or "no CUDA device",
                       "leave `device` at auto")
    return name
