"""Training an avatar on a sequence with poses and expressions: one class with a step, one function.

The recipe and its schedule are those of `splats.train`; what is new is the layer that moves with
the expression, the room behind it that does not, and what keeps the two apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

from ...data.cameras import scene_frame
from ...data.training_views import TrainingViews
from ...face.head_shape import HeadFrame, HeadShape
from ...face.person_mask import PersonMask
from ...face.topology import CHIN
from ...kernels.loss import PhotometricLoss
from ...kernels.threads import run_on_threads
from ..splats.densify import DensifyRules
from ..splats.gaussians import Gaussians
from ..splats.initialize import initial_gaussians
from ..splats.train import SAVE_EVERY
from ..trainer import Progress, ResumableTrainer, State, train_loop
from .appearance import Appearance
from .basis import ExpressionBasis
from .compositing import compose, split_gradient
from .config import AvatarConfig
from .details import predicted
from .dynamic_mask import ErrorTable, moving
from .expression_pca import (
    MISSED,
    explained,
    neutral_expression,
    principal_weights,
    visible_weights,
)
from .frame_cache import FrameCache
from .frame_source import FrameSource
from .layer import BlendLayer
from .pose import mean_rotation, pose_features
from .presets import find_presets, find_talk
from .room import beside_head, matte
from .scene import AvatarScene, left_product, pack_avatar, to_head_frame
from .shape_prior import EVERY, ShapePrior
from .torso import initial_torso, steady_region

HULL_FRAMES = 60  # that the silhouette is carved from
KEPT_CAMERAS = 24  # in the file, for orbits and drivers
TORSO_RANK = 3  # the shoulders follow the head's rotation a little
MOVING_FRAMES = 150  # that are asked where the expression moves things

# Adam's learning rates at the start; of the means in scene radii per step. That of the means falls
# to FINAL, exponentially, the others to √FINAL.
RATES = {"means": 1.2e-3, "log_scales": 2e-2, "quats": 8e-3, "opacity_logits": 0.1, "sh": 5e-3}
FINAL = 0.03
DELTA_RATE, SHADE_RATE = 1.0, 0.2  # of the changes, and of color by pose, as factors on those
DECAY = 1e-4  # weight decay of the changes per step
GROW_UNTIL, RELOCATE_UNTIL = 0.6, 0.8  # parts of the run
# Part of the errors that details must explain beyond the named values, and that both may miss.
DETAILS_TELL, BOTH_MISS = 0.03, 0.6
NAMES_ALONE = 0.3  # part of the steps with those details that the named values let expect
# What an outline in a frame does not change of Gaussians along it: color, since there it is mixed
# with the room's, and shape, which would wear down to beads. Where they lie it does.
NO_OUTLINE = ("log_scales", "quats", "opacity_logits", "sh")
MORE_WHERE_IT_MOVES = 1.0  # how much more often Gaussians that move are split


class Trainer(ResumableTrainer):
    """State of one training. `step()` until `done`; `scene()` at any time.

    source: frames, see `FrameSource`. mattes: (N, H, W) uint8 silhouettes. head: where the head
    lies, None where no face was found: then nothing but the frames says what is a head. details:
    (N, D) of the frames' expressions beside the named values, see `avatar.details`; None = none.
    """

    def __init__(self, source: FrameSource, mattes: np.ndarray, config: AvatarConfig,
                 rasterizer=None, head: HeadFrame | None = None, details=None):
        if rasterizer is None:
            from ..splats.rasterizer import CpuRasterizer

            rasterizer = CpuRasterizer()
        self.source, self.mattes, self.rasterizer = source, mattes, rasterizer
        self.config = config.checked()
        self.radius = scene_frame(source.cameras).radius
        self.reference = mean_rotation(source.cameras)
        self.poses = np.stack([pose_features(c, self.reference, 9) for c in source.cameras])
        self.details = np.zeros((len(source), 0), np.float32) if details is None else details
        self.expressions = np.concatenate([source.expressions, self.details], axis=1)
        self.said = predicted(source.expressions, self.details)
        self.mean = self.expressions.mean(axis=0)
        self.weights = principal_weights(self.expressions, config.rank)
        self.varies = np.ptp(self.expressions, axis=0) > 1e-6
        self.rng = np.random.default_rng(config.seed)
        self.prior: ShapePrior | None = None
        self.head, torso = self._initial(head)
        self.torso: BlendLayer | None = torso
        self.appearance = Appearance(len(source))
        self.order = self.rng.permutation(len(source))
        self.released = False  # whether the expression moves anything yet
        height, width = source.background.shape[:2]
        self._behind = np.ascontiguousarray(
            (source.background / np.float32(255)).transpose(2, 0, 1), np.float32)
        self._loss = PhotometricLoss(height, width, config.lambda_dssim)
        self._buffers = {k: np.empty((3, height, width), np.float32)
                         for k in ("target", "shown", "d_rgb")}
        self._grazing: np.ndarray | None = None
        self._d_alpha = np.empty((height, width), np.float32)
        self._saved = self.state()

    def _initial(self, frame: HeadFrame | None) -> tuple[BlendLayer, BlendLayer | None]:
        c, source = self.config, self.source
        views = outlined(source, self.mattes)
        chin = None if frame is None else frame.to_world(frame.face[CHIN])
        region = steady_region(views, c.torso, chin)
        carved = views
        if region is not None:  # the shoulders are no part of what turns
            carved = TrainingViews(views.cameras,
                                   [np.where(region, 0, p) for p in views.pixels])
        if frame is None:
            base = initial_gaussians(carved, c.initial, c.sh_degree, self.rng, None,
                                     c.max_gaussians)
        else:
            self.prior = ShapePrior(HeadShape.fit(frame, carved),
                                    np.stack([k.position for k in carved.cameras]))
            base = self.prior.start(carved, c.initial, c.sh_degree, self.rng)
        head = BlendLayer(base, c.rank, c.shade_rank)
        head.moves[:] = False
        torso = None
        if region is not None:
            depth = float(np.median([k.project(base.means)[1].mean() for k in views.cameras]))
            torso = initial_torso(views, region, self.rng, c, TORSO_RANK, depth)
        return head, torso

    # --- schedule ---------------------------------------------------------------------------------

    def units(self) -> dict[str, float]:
        """Return the learning rates at the start."""
        rates = {name: self.config.rate * rate for name, rate in RATES.items()}
        rates["means"] *= self.radius
        return rates

    def learning_rates(self) -> dict[str, float]:
        decay = FINAL**self.fraction
        rates = {k: v * math.sqrt(decay) for k, v in self.units().items()}
        rates["means"] *= math.sqrt(decay)
        return {name: rate * self.rate_factor for name, rate in rates.items()}

    # --- one step ---------------------------------------------------------------------------------

    def step(self) -> float:
        """Take one frame: render, compare, move; return the loss.

        Non-finite numbers bring back the last good state (at most 50 steps old) with half the
        learning rates; IdfError after three times.
        """
        start = time.perf_counter()
        c = self.config
        i = int(self.order[self.iteration % len(self.source)])
        camera = self.source.cameras[i]
        e = self.expressions[i] - self.mean
        named = len(self.said)
        if named < len(e) and self.rng.random() < NAMES_ALONE:
            e[named:] = e[:named] @ self.said
        if c.expression_noise:
            e = e + np.where(self.varies, self.rng.normal(0, c.expression_noise, len(e)), 0)
        z = (e @ self.weights).astype(np.float32)
        p = self.poses[i, :c.shade_rank]
        degree = c.sh_degree if self.fraction > 0.3 else 0
        g, loss, gradients, turned = self._compare(i, camera, z, degree)
        if not math.isfinite(loss.loss):
            self._roll_back("the loss")
            return loss.loss
        self.iteration += 1
        rates, units = self.learning_rates(), self.units()
        n = len(self.head)
        if c.lambda_opacity and self.prior is None:
            o = 1 / (1 + np.exp(-g.opacity_logits))
            gradients.opacity_logits += (c.lambda_opacity / len(o)) * o * (1 - o)
        if self.prior is not None:
            if self._grazing is None or len(self._grazing) != n:
                self._grazing = ~self.prior.well_seen(self.head.gaussians)
            for name in NO_OUTLINE:
                getattr(gradients, name)[:n][self._grazing] = 0
        self.head.step(_part(gradients, slice(0, n)), gradients.visible[:n], z, p, rates, units,
                       DELTA_RATE, SHADE_RATE, DECAY, c.sparsity / n, self.iteration,
                       (degree + 1) ** 2)
        self.head.statistics.add(gradients.screen[:n], gradients.visible[:n])
        if turned is not None:
            self.torso.step(turned, gradients.visible[n:], self.poses[i, :TORSO_RANK],
                            np.zeros(0), rates, units, DELTA_RATE, SHADE_RATE, DECAY,
                            c.sparsity / n, self.iteration, 1)
            self.torso.statistics.add(gradients.screen[n:], gradients.visible[n:])
        if self.prior is not None and self.iteration % EVERY == 0:
            self.prior.pull(self.head.gaussians)
        self.take_mse(loss.mse)
        self._densify_if_due()
        if self.iteration % len(self.source) == 0:
            self.order = self.rng.permutation(len(self.source))
        self.seconds += time.perf_counter() - start
        if self.iteration % SAVE_EVERY == 0 or self.done:
            self._save_state()
        return loss.loss

    def _compare(self, i: int, camera, z, degree: int):
        """Return (what was drawn, loss, gradients of all of it, those of the torso in its own
        frame or None)."""
        g = self._drawn(i, z)
        render = self.rasterizer.forward(g, camera, np.zeros(3, np.float32), sh_degree=degree,
                                         train=True)
        b, c = self._buffers, self.config
        gain, offset = self.appearance.of(i)
        matte, behind = np.asarray(self.mattes[i]), self._behind
        beside = None
        if self.prior is not None:
            beside, color = beside_head(matte), self.rng.random(3, np.float32)
            behind = np.where(beside, color[:, None, None], behind)
        run_on_threads(compose, render.rgb, render.alpha, behind, self.source.frame(i), gain,
                       offset, b["target"], b["shown"])
        if beside is not None:
            np.copyto(b["target"], (gain * color + offset)[:, None, None], where=beside)
        loss = self._loss(b["shown"], b["target"])
        weight = np.float32(c.lambda_alpha / render.alpha.size)
        sums = np.zeros((len(render.alpha), 6))
        run_on_threads(split_gradient, loss.gradient, render.rgb, render.alpha, behind,
                       matte, gain, weight, b["d_rgb"], self._d_alpha, sums)
        gradients = self.rasterizer.backward(b["d_rgb"], self._d_alpha)
        if c.appearance:
            self.appearance.step(i, sums.sum(axis=0), self.rate_factor)
        if self.torso is None:
            return g, loss, gradients, None
        own = {k: a[len(self.head):].copy() for k, a in gradients.arrays().items()}
        R = camera.c2w[:3, :3]
        own["means"] = np.ascontiguousarray(own["means"] @ R, np.float32)
        own["quats"] = np.ascontiguousarray(own["quats"] @ left_product(R), np.float32)
        own["sh"] = np.ascontiguousarray(own["sh"][:, :1])
        return g, loss, gradients, SimpleNamespace(arrays=lambda: own)

    def _densify_if_due(self) -> None:
        c = self.config
        if not self.released and self.fraction >= c.still_until:
            self._release()
        if (self.iteration < c.densify_from or self.iteration % c.densify_every
                or self.fraction > RELOCATE_UNTIL):
            return
        motion = self.head.motion()
        scale = np.percentile(motion, 95) if len(motion) else 0
        if scale > 0:
            self.head.statistics.total *= (
                1 + MORE_WHERE_IT_MOVES * np.minimum(motion / scale, 1)).astype(np.float32)
        grow = self.fraction <= GROW_UNTIL
        rules = DensifyRules(c.max_gaussians, growth=0.1, dead_opacity=0.005, max_scale=0.5)
        self.head.densify(rules, self.radius, grow, self.rng)
        self._grazing = None
        if self.torso is not None:
            self.torso.densify(rules, self.radius, False, self.rng)

    def _release(self) -> None:
        """Lets the expression move the Gaussians whose error follows it, along the directions that
        show most."""
        c, source = self.config, self.source
        self.released = True
        if not c.rank:
            return
        if c.moving_above == 0:
            self.head.moves[:] = True
            return
        chosen = np.linspace(0, len(source) - 1, min(MOVING_FRAMES, len(source))).round()
        chosen = np.unique(chosen.astype(int))
        table = ErrorTable(len(self.head), len(chosen))
        still = np.zeros(c.rank, np.float32)
        for row, i in enumerate(chosen):
            camera = source.cameras[i]
            g = self._drawn(i, still)
            render = self.rasterizer.forward(g, camera, np.zeros(3, np.float32), train=True)
            shown = render.rgb + (1 - render.alpha) * self._behind
            target = source.frame(i).transpose(2, 0, 1) / np.float32(255)
            table.add(row, self.rasterizer, target - shown)
        pose, errors = self.poses[chosen, :3], table.by_frame()
        named, both = source.expressions, self.expressions
        tell = self.details.shape[1] and explained(both, chosen, pose, errors) >= DETAILS_TELL + \
            explained(named, chosen, pose, errors)
        used, allowed = (both, BOTH_MISS) if tell else (named, MISSED)
        self.weights[:] = 0
        self.weights[:used.shape[1]] = visible_weights(used, chosen, pose, errors, c.rank,
                                                       allowed)
        z = ((self.expressions[chosen] - self.mean) @ self.weights).astype(np.float32)
        follows = table.follows(z, self.poses[chosen, :3])
        self.head.moves[:] = moving(self.head.gaussians.means, self.head.gaussians.opacities,
                                    follows, c.moving_above)

    def _drawn(self, i: int, z: np.ndarray) -> Gaussians:
        """All Gaussians of frame i at z, in the head's frame."""
        g = self.head.at(z, self.poses[i, :self.config.shade_rank])
        if self.torso is None:
            return g
        return g.joined(to_head_frame(self.torso.at(self.poses[i, :TORSO_RANK], np.zeros(0)),
                                      self.source.cameras[i]))

    def warm_up(self) -> None:
        """Compile (or load) every kernel, so that the clock does not count it; no effect on the
        result."""
        saved = self._saved
        self.step()
        self.restore(saved)

    # --- state ------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return a copy of everything that the rest of the run depends on."""
        arrays = {"order": self.order.copy(), "weights": self.weights.copy(),
                  "appearance": self.appearance.table.copy()}
        arrays |= self.head.arrays("head.")
        if self.torso is not None:
            arrays |= self.torso.arrays("torso.")
        return State(arrays, self.counters() | {"released": self.released})

    growing: ClassVar = {"head.": "N", "torso.": "M"}
    finite = ("head.gaussians.", "torso.gaussians.", "weights", "appearance")

    def check(self, state: State) -> None:
        """Raise ValueError unless `restore` can go to the state."""
        if not isinstance(state.meta.get("released"), bool):
            raise ValueError("`released` is neither true nor false")
        super().check(state)

    def restore(self, state: State) -> None:
        """Go to a state of the same source and config; what follows does not change `state`."""
        self.head = BlendLayer.from_arrays(state.arrays, "head.")
        if self.torso is not None:
            self.torso = BlendLayer.from_arrays(state.arrays, "torso.")
        self.order = state.arrays["order"].copy()
        self.weights = state.arrays["weights"].copy()
        self.appearance.table = state.arrays["appearance"].copy()
        self.released = state.meta["released"]
        self._grazing = None
        self.set_counters(state)

    def _save_state(self) -> None:
        state = self.state()
        for name, values in state.arrays.items():
            if values.dtype == np.float32 and not np.isfinite(values).all():
                self._roll_back(f"`{name}`")
                return
        self._saved = state
        self._grazing = None  # found anew here, as after a stop

    # --- results ----------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        return len(self.head) + (len(self.torso) if self.torso is not None else 0)

    def scene(self) -> AvatarScene:
        """Return a copy of the scene trained so far."""
        source = self.source
        neutral = neutral_expression(source.expressions)
        count, details = len(source.names), None
        weights, mean = self.weights[:count].copy(), self.mean[:count]
        if self.weights[count:].any():
            details = self.weights[count:].copy()
            weights += self.said @ details
        basis = ExpressionBasis(source.names, weights, mean, source.expressions.min(axis=0),
                                source.expressions.max(axis=0), neutral, details)
        step = max(1, len(source) // KEPT_CAMERAS)
        reference = int(np.argmin(np.linalg.norm(self.poses[:, :3], axis=1)))
        cameras = [source.cameras[reference], *source.cameras[::step]]
        head = self.head[_visible_ever(self.head)]
        avatar = pack_avatar(
            basis, (neutral - mean) @ weights, head, self.torso,
            reference=self.reference,
            pose_range=np.stack([self.poses.min(axis=0), self.poses.max(axis=0)]),
            cameras=cameras, background=source.background,
            meta={"resolution": max(source.background.shape[:2]),
                  "whole_head": self.prior is not None, "fps": source.fps,
                  "presets": find_presets(source.names, source.expressions, neutral)},
            talk=find_talk(source.names, source.expressions))
        report = self.report(num_gaussians=len(avatar.frozen()), moving=int(head.moves.sum()))
        return AvatarScene(avatar, self.rasterizer, report)


def outlined(source: FrameSource, mattes: np.ndarray) -> TrainingViews:
    """Return some frames, spread over the sequence, with their silhouettes as alpha."""
    chosen = np.linspace(0, len(source) - 1, min(HULL_FRAMES, len(source))).round().astype(int)
    pixels = []
    for i in chosen:
        alpha = mattes[i]
        color = (source.frame(i) * (alpha[..., None] / 255)).astype(np.uint8)
        pixels.append(np.ascontiguousarray(
            np.concatenate([color, alpha[..., None]], axis=2).transpose(2, 0, 1)))
    return TrainingViews([source.cameras[i] for i in chosen], pixels)


def build_mattes(source: FrameSource, folder, progress=None) -> FrameCache:
    """Return the silhouettes of all frames as (N, H, W, 1) in a cache of their own: the alpha of
    pictures that have one; the person, where the background was made of the frames (and the model
    is there); else the difference to the background, see `matte`."""
    height, width = source.background.shape[:2]
    person = PersonMask() if source.by_person else None

    def picture(i):
        image = source.frames[i].image()
        if image.shape[2] == 4:
            alpha = image[..., 3]
        elif person is not None:
            alpha = np.round(255 * person.alpha(image)).astype(np.uint8)
        else:
            return matte(source.frame(i), source.background)[..., None]
        import cv2

        return cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)[..., None]

    cache = FrameCache(folder, len(source), (height, width, 1), source.cache.key)
    return cache.build(picture, progress)


def fit(source: FrameSource, mattes: np.ndarray, config: AvatarConfig, *,
        head: HeadFrame | None = None, details=None, run=None, rasterizer=None,
        progress: Callable[[Progress], None] | None = None,
        progress_every_s: float = 0.5) -> AvatarScene:
    """Train until the iterations or the budget of `config` are used up.

    head, details: where the head lies, and what expressions are beyond their names, see `Trainer`.
    run: a `RunFolder`; the run goes on from its latest checkpoint, writes new ones by time, and one
    at an interrupt (KeyboardInterrupt is passed on; the same call again goes on). A run given in
    iterations ends bit-identical however often it was stopped; a budget goes on with what is left.
    progress: called at most every `progress_every_s` seconds, and at the end.
    """
    trainer = Trainer(source, mattes, config, rasterizer, head, details)
    train_loop(trainer, run, progress, progress_every_s)
    return trainer.scene()


def _part(gradients, rows: slice):
    arrays = {k: a[rows] for k, a in gradients.arrays().items()}
    return SimpleNamespace(arrays=lambda: arrays)


def _visible_ever(head: BlendLayer) -> np.ndarray:
    """(N,) bool: not so transparent that no expression within reach shows it."""
    reach = 3 * np.abs(head.deltas[:, :, 10]).sum(axis=1)
    return head.gaussians.opacity_logits + reach > math.log(1 / 254)
