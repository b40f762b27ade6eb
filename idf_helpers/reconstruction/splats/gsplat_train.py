"""Training on a GPU with gsplat: its rasterizer and its strategies, our loss, data and run folder.

Follows the recipe of gsplat 1.5.3's examples/simple_trainer.py (Apache-2.0; no code taken), with
pictures over random backgrounds where they have alpha, and started in the visual hull.

Several GPUs are gsplat's own matter; from a clone of its repository, on a COLMAP dataset:

    CUDA_VISIBLE_DEVICES=0,1,2,3 python examples/simple_trainer.py default --data_dir FOLDER \
        --steps_scaler 0.25 --packed
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch

from ...data.training_views import TrainingViews
from ...runtime.cuda import out_of_memory
from ...runtime.runs import RunFolder
from ..trainer import Progress, ResumableTrainer, State, train_loop
from .densify import prune_invisible
from .gaussians import Gaussians
from .gsplat_config import GsplatConfig
from .gsplat_rasterizer import GsplatRasterizer, camera_tensors, rasterize
from .initialize import WIDTH, initial_gaussians
from .scene import GaussianScene
from .torch_loss import PictureLoss, over
from .train import COLORS, background_mode

# gsplat's strategies ask for these names; ours beside them
OF_GSPLAT = {"means": "means", "scales": "log_scales", "quats": "quats",
             "opacities": "opacity_logits"}
ITERATIONS = GsplatConfig.default_iterations  # that the schedule is counted for
SAVE_EVERY = 1000  # steps between two copies of the state, on NaN, a full memory, kill, interrupt
# Adam's learning rates: of the means in camera extents per step, which fall to a hundredth; the
# others stay. The view-dependent part of the color takes a twentieth of its base's.
RATES = {"means": 1.6e-4, "scales": 5e-3, "quats": 1e-3, "opacities": 5e-2, "sh0": 2.5e-3,
         "shN": 2.5e-3 / 20}
LOOK_EVERY = 100  # steps between two looks at the loss, which make the processor wait for the GPU
WARM_UP, MEASURED = 20, 100  # steps before and while a budget's number of steps is estimated
SH_EVERY = 1000  # steps of 30 000 between two degrees of the color
# Of the start, as gsplat's trainer sets them: opacity, and standard deviation as a share of the
# distance to the neighbors
START = {"default": (0.1, 1.0), "mcmc": (0.5, 0.1)}


class GsplatTrainer(ResumableTrainer):
    """State of one training on the device of `rasterizer`. `step()` until `done`.

    On CUDA sums are taken in no fixed order, so that two runs differ in the last digits; what a
    checkpoint holds is exact.
    """


    def __init__(self, views: TrainingViews, config: GsplatConfig, rasterizer: GsplatRasterizer,
                 points=None):
        self.views, self.config = views, config.checked()
        self.rasterizer, self.device = rasterizer, rasterizer.device
        self.packed, self.cap, self.halved = config.packed, config.max_gaussians, False
        self.background = background_mode(views, config)
        self._behind = torch.tensor(COLORS.get(self.background, COLORS["white"]),
                                    device=self.device)
        self.rng = np.random.default_rng(config.seed)
        torch.manual_seed(config.seed)  # the strategies draw from it
        self.pixels = [torch.as_tensor(p, device=self.device) for p in views.pixels]
        self.unseen = {k: torch.as_tensor(m, device=self.device) for k, m in views.unseen.items()}
        self.cameras = [camera_tensors(c, self.device) for c in views.cameras]
        self._loss = PictureLoss(config.lambda_dssim, self.device, (p.shape for p in self.pixels))
        centers = np.array([c.position for c in views.cameras])
        # as 3DGS: 1.1 times the cameras' largest distance from their mean
        self.extent = 1.1 * max(float(np.linalg.norm(centers - centers.mean(0), axis=1).max()),
                                1e-3 * views.scene.radius)
        self._set_parameters(_start(views, config, self.rng, points))
        self.total = config.steps
        self._warm = 0.0
        self.order = self.rng.permutation(len(views))
        self._finite = torch.ones((), dtype=torch.bool, device=self.device)
        self.strategy = self._make_strategy()
        self.strategy.check_sanity(self.params, self.adams)
        self.strategy_state = self.strategy.initialize_state(scene_scale=self.extent) \
            if config.strategy == "default" else self.strategy.initialize_state()
        self._saved = self.state()

    def _set_parameters(self, tensors: dict[str, np.ndarray]) -> None:
        rates = {name: self.config.rate * rate for name, rate in RATES.items()}
        rates["means"] *= self.extent
        self.params = {k: torch.nn.Parameter(torch.as_tensor(a, device=self.device).clone())
                       for k, a in tensors.items()}
        self.rates = rates
        fused = self.device.type == "cuda"  # one kernel for each parameter instead of a dozen
        self.adams = {k: torch.optim.Adam([{"params": p, "lr": rates[k], "name": k}], eps=1e-15,
                                          fused=fused) for k, p in self.params.items()}

    def _make_strategy(self):
        from gsplat import DefaultStrategy, MCMCStrategy

        def steps(n: int) -> int:  # of 30 000
            return max(1, round(n * (self.total or ITERATIONS) / ITERATIONS))

        if self.config.strategy == "mcmc":
            return MCMCStrategy(cap_max=self.cap, refine_start_iter=steps(500),
                                refine_stop_iter=steps(25_000), refine_every=steps(100))
        return DefaultStrategy(refine_start_iter=steps(500), refine_stop_iter=steps(15_000),
                               reset_every=steps(3000), refine_every=steps(100),
                               absgrad=self.config.absgrad,
                               grow_grad2d=0.0008 if self.config.absgrad else 0.0002)

    # --- schedule ---------------------------------------------------------------------------------

    @property
    def fraction(self) -> float:
        """Part of the run that is over, in [0, 1]."""
        by_steps = self.iteration / self.total if self.total else 0.0
        budget = self.config.budget_s
        return min(max(by_steps, self.seconds / budget if budget else 0.0), 1.0)

    @property
    def active_sh_degree(self) -> int:
        every = max(1, SH_EVERY * (self.total or ITERATIONS) // ITERATIONS)
        return min(self.config.sh_degree, self.iteration // every)

    def _plan(self) -> None:
        """With a budget: as many steps as it has time for at four fifths of the speed so far
        (Gaussians become more), at most 30 000; strategy and rates then go by that number."""
        if self.total is not None:
            return
        if self.iteration == WARM_UP:
            self._warm = self.seconds
        elif self.iteration == WARM_UP + MEASURED:
            step = max((self.seconds - self._warm) / MEASURED, 1e-6)
            left = (self.config.budget_s - self.seconds) / step
            self.total = int(min(ITERATIONS, self.iteration + max(1.0, 0.8 * left)))
            self.strategy = self._make_strategy()

    # --- one step ---------------------------------------------------------------------------------

    def step(self) -> None:
        """Take one view. Non-finite numbers bring back the last good state with half the rates
        (three times, then IdfError); a full memory brings it back with half the Gaussians and
        packed (once, then IdfError)."""
        start = time.perf_counter()
        try:
            self._step()
        except torch.OutOfMemoryError:
            failed = len(self.params["means"])
        else:
            self.seconds += time.perf_counter() - start
            self._plan()
            if self.iteration % SAVE_EVERY == 0 or self.done:
                self._save_state()
            return
        self._halve(failed)

    def _step(self) -> None:
        index = int(self.order[self.iteration % len(self.views)])
        camera = self.views.cameras[index]
        background = self._next_background()
        picture, _, info = rasterize(
            self._named(), *self.cameras[index], camera.width, camera.height, background,
            self.active_sh_degree, self.rasterizer.near, self.packed, self.config.antialiased,
            absgrad=self.config.absgrad)
        self.strategy.step_pre_backward(self.params, self.adams, self.strategy_state,
                                        self.iteration, info)
        rgb = picture[0].permute(2, 0, 1)
        if index in self.unseen:  # what the lens did not see counts as right
            rgb = torch.where(self.unseen[index], over(self.pixels[index], background), rgb)
        loss, mse = self._loss(rgb, self.pixels[index], background)
        of_opacity, of_scale = self.config.regularizers()
        if of_opacity:
            loss = loss + of_opacity * self.params["opacities"].sigmoid().mean()
        if of_scale:
            loss = loss + of_scale * self.params["scales"].exp().mean()
        loss.backward()
        lr = self._set_rates()
        for adam in self.adams.values():
            adam.step()
            adam.zero_grad(set_to_none=True)
        self._refine(info, lr)
        self._finite &= loss.detach().isfinite()
        self.mse = mse.clone() if self.mse is None else self.mse.lerp_(mse, 0.04)
        self.iteration += 1
        if self.iteration % len(self.views) == 0:
            self.order = self.rng.permutation(len(self.views))
        if self.iteration % LOOK_EVERY == 0 and not bool(self._finite):
            self._roll_back("the loss")

    def _refine(self, info: dict, lr: float) -> None:
        arguments = (self.params, self.adams, self.strategy_state, self.iteration, info)
        if self.config.strategy == "mcmc":
            self.strategy.step_post_backward(*arguments, lr=lr)
        else:
            if len(self.params["means"]) >= self.cap:
                self.strategy.grow_grad2d = math.inf  # it goes on pruning
            self.strategy.step_post_backward(*arguments, packed=self.packed)
        if len(self.params["means"]) > self.cap:
            self._keep_most_opaque(self.cap)

    def _keep_most_opaque(self, count: int) -> None:
        from gsplat.strategy.ops import remove

        faint = torch.ones(len(self.params["means"]), dtype=torch.bool, device=self.device)
        faint[self.params["opacities"].detach().topk(count).indices] = False
        per_gaussian = {k: v for k, v in self.strategy_state.items() if k != "binoms"}
        remove(self.params, self.adams, per_gaussian, faint)
        self.strategy_state |= per_gaussian

    def _named(self) -> dict[str, torch.Tensor]:
        """Return the parameters by the names of `Gaussians`."""
        named = {ours: self.params[theirs] for theirs, ours in OF_GSPLAT.items()}
        return named | {"sh": torch.cat([self.params["sh0"], self.params["shN"]], 1)}

    def _set_rates(self) -> float:
        """Rates for this step; -> that of the means, which falls to a hundredth."""
        for name, adam in self.adams.items():
            decay = 0.01**self.fraction if name == "means" else 1.0
            adam.param_groups[0]["lr"] = self.rates[name] * decay * self.rate_factor
        return self.adams["means"].param_groups[0]["lr"]

    def _next_background(self) -> torch.Tensor:
        if self.background == "random" and self.fraction < self.config.random_until:
            drawn = torch.from_numpy(self.rng.random(3, np.float32))
            return drawn.to(self.device, non_blocking=True)  # else it waits for the GPU
        return self._behind

    # --- state ------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return a copy in main memory of everything that the rest of the run depends on."""
        arrays = {"order": self.order.copy(), "rng.cpu": torch.get_rng_state().numpy().copy()}
        if self.device.type == "cuda":
            arrays["rng.cuda"] = torch.cuda.get_rng_state(self.device).numpy().copy()
        steps = {}
        for name, p in self.params.items():
            arrays[f"param.{name}"] = _numpy(p)
            kept = self.adams[name].state.get(p, {})
            steps[name] = float(kept.get("step", 0))
            arrays |= {f"adam.{name}.{k}": _numpy(v) for k, v in kept.items() if k != "step"}
        arrays |= {f"strategy.{k}": _numpy(v) for k, v in self.strategy_state.items()
                   if isinstance(v, torch.Tensor)}
        return State(arrays, self.counters() | {
            "total": self.total, "warm": self._warm, "cap": self.cap, "packed": self.packed,
            "halved": self.halved, "adam_steps": steps})

    growing: ClassVar = {"param.": "N"}
    finite = ("param.",)

    def schema(self, state: State) -> dict[str, str]:
        """Return the declaration of a state's arrays: moments come with the first step."""
        own = {k: v for k, v in super().schema(state).items() if not k.startswith("adam.")}
        for name in self.params:
            own |= {f"adam.{name}.{k}?": own[f"param.{name}"].replace("!", "")
                    for k in ("exp_avg", "exp_avg_sq")}
        for name in self.strategy_state:
            shape = "f N" if name != "binoms" else own.pop("strategy.binoms", "f A B")
            own.pop(f"strategy.{name}", None)
            own[f"strategy.{name}?"] = "f" if name == "scene_scale" else shape
        own.pop("rng.cuda", None)
        return own | {"rng.cuda?": "u1 C"}

    def check(self, state: State) -> None:
        """Raise ValueError unless `restore` can go to the state."""
        meta = state.meta
        for name, kind in (("total", (int, type(None))), ("warm", (int, float)), ("cap", int),
                           ("packed", bool), ("halved", bool), ("adam_steps", dict)):
            if not isinstance(meta.get(name, ""), kind) or kind is int and meta[name] < 1:
                raise ValueError(f"`{name}` is {meta.get(name)!r}"[:80])
        if not all(isinstance(meta["adam_steps"].get(k), (int, float)) for k in self.params):
            raise ValueError("`adam_steps` lacks a tensor")
        super().check(state)
        try:
            torch.Generator().set_state(torch.as_tensor(state.arrays["rng.cpu"]))
        except RuntimeError as error:
            raise ValueError(f"the random state: {error}"[:160]) from None

    def restore(self, state: State) -> None:
        """Go to a state of the same views and settings; `state` stays as it is."""
        arrays, meta = state
        self.cap, self.packed, self.halved = meta["cap"], meta["packed"], meta["halved"]
        self.rasterizer.packed = self.packed
        self.total, self._warm = meta["total"], meta["warm"]
        self._set_parameters({k.removeprefix("param."): a for k, a in arrays.items()
                              if k.startswith("param.")})
        for name, p in self.params.items():
            kept = {k: torch.as_tensor(arrays[f"adam.{name}.{k}"], device=self.device).clone()
                    for k in ("exp_avg", "exp_avg_sq") if f"adam.{name}.{k}" in arrays}
            if kept:
                where = self.device if self.adams[name].defaults["fused"] else None
                self.adams[name].state[p] = kept | {
                    "step": torch.tensor(meta["adam_steps"][name], device=where)}
        self.strategy = self._make_strategy()
        for name, value in self.strategy_state.items():
            if value is None or isinstance(value, torch.Tensor):
                saved = arrays.get(f"strategy.{name}")
                self.strategy_state[name] = None if saved is None else \
                    torch.as_tensor(saved, device=self.device).clone()
        torch.set_rng_state(torch.as_tensor(arrays["rng.cpu"]))
        if self.device.type == "cuda" and "rng.cuda" in arrays:
            torch.cuda.set_rng_state(torch.as_tensor(arrays["rng.cuda"]), self.device)
        self.order = arrays["order"].copy()
        self._finite = torch.ones((), dtype=torch.bool, device=self.device)
        self.set_counters(state)
        if self.mse is not None:
            self.mse = torch.tensor(self.mse, device=self.device)

    def _save_state(self) -> None:
        if not bool(self._finite) or not all(p.isfinite().all() for p in self.params.values()):
            self._roll_back("the parameters")
            return
        self._saved = self.state()

    def _halve(self, failed: int) -> None:
        """After a full memory with `failed` Gaussians: half of them at most from now on, packed."""
        camera = self.views.cameras[0]
        if self.halved:
            raise out_of_memory("this training", failed, camera.width, camera.height)
        saved = self._saved
        self.adams, self.params = {}, {}  # before the old state comes: there is no room for two
        torch.cuda.empty_cache()
        self.restore(saved)
        self.halved, self.packed, self.cap = True, True, max(16, failed // 2)
        self.rasterizer.packed = True
        self.strategy = self._make_strategy()
        if len(self.params["means"]) > self.cap:
            self._keep_most_opaque(self.cap)
        self._saved = self.state()

    # --- results ----------------------------------------------------------------------------------

    def gaussians(self) -> Gaussians:
        return Gaussians(**{k: _numpy(t) for k, t in self._named().items()})

    def scene(self) -> GaussianScene:
        """Return what is there now, without the invisible Gaussians."""
        color = COLORS.get(self.background, COLORS["white"])
        gaussians = prune_invisible(self.gaussians())
        return GaussianScene(gaussians, self.rasterizer, list(self.views.cameras), color,
                             self.report(num_gaussians=len(gaussians), halved=self.halved))

    @property
    def count(self) -> int:
        return len(self.params["means"])


def fit_gsplat(dataset, config: GsplatConfig, *, run: RunFolder | None = None,
               rasterizer: GsplatRasterizer | None = None,
               progress: Callable[[Progress], None] | None = None,
               progress_every_s: float = 0.5, points=None) -> GaussianScene:
    """Train as `train.fit` does, on a GPU: the same errors, checkpoints and interrupts.

    A checkpoint is at most SAVE_EVERY steps older than what it is made from. IdfError
    also where the GPU's memory does not hold half of the Gaussians that did not fit.
    """
    config.checked()
    rasterizer = rasterizer or GsplatRasterizer()
    rasterizer.packed, rasterizer.antialiased = config.packed, config.antialiased
    views = TrainingViews.load(dataset.train, config.resolution)
    device = rasterizer.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            trainer = GsplatTrainer(views, config, rasterizer, points)
        except torch.OutOfMemoryError:
            camera = views.cameras[0]
            raise out_of_memory(f"{len(views)} pictures and the start", config.initial,
                                camera.width, camera.height) from None
        train_loop(trainer, run, progress, progress_every_s)
        return trainer.scene()


def _start(views, config, rng, points) -> dict[str, np.ndarray]:
    """Return the first parameters under gsplat's names, float32."""
    g = initial_gaussians(views, config.initial, config.sh_degree, rng, points,
                          config.max_gaussians)
    opacity, width = START[config.strategy]
    g.opacity_logits[:] = math.log(opacity / (1 - opacity))
    g.log_scales += np.float32(math.log(width / WIDTH))
    named = {theirs: getattr(g, ours) for theirs, ours in OF_GSPLAT.items()}
    return named | {"sh0": g.sh[:, :1], "shN": g.sh[:, 1:]}


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()
