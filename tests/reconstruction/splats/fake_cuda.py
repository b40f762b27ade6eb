"""Stand-ins for the CUDA packages: the call signatures of the real ones, drawn by the reference.

`rasterization` has gsplat 1.5.3's signature (gsplat/rendering.py at tag v1.5.3; compared by hand,
and by test_gsplat.py where gsplat is installed); 1.6.0 only adds arguments at the end. The
rasterizer of diff_gaussian_rasterization has that of 9c5c202, the commit that graphdeco's trainer
pins: 13 settings and three outputs (59f5f77: 12 and two).
"""

import types
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple

import torch

from idf_helpers.data.cameras import GL_TO_CV, Camera
from idf_helpers.reconstruction.splats.reference import render_reference


def camera_of(w2c, fx, fy, cx, cy, width, height) -> Camera:
    """From an OpenCV world-to-camera matrix (4, 4)."""
    c2w = torch.linalg.inv(w2c.detach().double()).numpy() @ GL_TO_CV
    return Camera(c2w, float(fx), float(fy), float(cx), float(cy), width, height)


# --- gsplat ---------------------------------------------------------------------------------------

class Calls(list):
    """Keyword arguments of every call, for the tests to look at; `fail` calls run out of memory."""

    fail = 0


calls = Calls()


def rasterization(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane=0.01,
        far_plane=1e10, radius_clip=0.0, eps2d=0.3, sh_degree=None, packed=True, tile_size=16,
        backgrounds=None, render_mode="RGB", sparse_grad=False, absgrad=False,
        rasterize_mode="classic", channel_chunk=32, distributed=False, camera_model="pinhole",
        segmented=False, covars=None, with_ut=False, with_eval3d=False, radial_coeffs=None,
        tangential_coeffs=None, thin_prism_coeffs=None, ftheta_coeffs=None, rolling_shutter=None,
        viewmats_rs=None):
    n = len(means)
    calls.append({"packed": packed, "n": n, "rasterize_mode": rasterize_mode, "absgrad": absgrad,
                  "render_mode": render_mode, "sh_degree": sh_degree})
    if calls.fail:
        calls.fail -= 1
        raise torch.OutOfMemoryError("CUDA out of memory (made up)")
    assert means.shape == (n, 3) and quats.shape == (n, 4) and scales.shape == (n, 3)
    assert opacities.shape == (n,) and viewmats.shape == (1, 4, 4) and Ks.shape == (1, 3, 3)
    assert colors.shape[0] == n and colors.shape[2] == 3 and (sh_degree + 1)**2 <= colors.shape[1]
    assert not (scales <= 0).any() and eps2d == 0.3
    assert backgrounds is None if packed else backgrounds.shape == (1, 3)  # as 1.5.3 has it
    backgrounds = torch.zeros(1, 3) if backgrounds is None else backgrounds
    assert not ((opacities < 0) | (opacities > 1)).any()  # NaN passes, as there
    K = Ks[0]
    camera = camera_of(viewmats[0], K[0, 0], K[1, 1], K[0, 2], K[1, 2], width, height)
    params = {"means": means, "quats": quats, "log_scales": scales.log(), "sh": colors,
              "opacity_logits": torch.logit(opacities.double())}
    z = means.detach() @ viewmats[0, 2, :3] + viewmats[0, 2, 3]
    seen = torch.nonzero(z > near_plane)[:, 0]
    leaf = torch.zeros(len(seen) if packed else n, 2, requires_grad=means.requires_grad)
    means2d = leaf * 1 if packed else leaf[None] * 1  # no leaves in gsplat either
    shift = torch.zeros(n, 2).index_add(0, seen, means2d) if packed else means2d[0]
    rgb, alpha, depth = render_reference(params, camera, backgrounds[0], sh_degree, near_plane,
                                         shift)
    picture = rgb.permute(1, 2, 0)
    if render_mode == "RGB+ED":
        picture = torch.cat([picture, torch.nan_to_num(depth)[..., None]], -1)
    visible = (z > near_plane).int()
    radii = torch.stack([visible, visible], 1)
    info: dict[str, Any] = {
        "width": width, "height": height, "n_cameras": 1, "means2d": means2d,
        "gaussian_ids": seen if packed else None, "radii": radii[seen] if packed else radii[None]}
    return picture[None].float(), alpha[None, ..., None].float(), info


def _each(params, adams, change, moments):
    """What gsplat's ops do: new parameters, their Adam moments moved along."""
    for name, old in list(params.items()):
        new = torch.nn.Parameter(change(old.detach()))
        kept = adams[name].state.pop(old, {})
        adams[name].param_groups[0]["params"] = [new]
        adams[name].state[new] = {k: v if k == "step" else moments(v) for k, v in kept.items()}
        params[name] = new


def remove(params, optimizers, state, mask):
    _each(params, optimizers, lambda p: p[~mask], lambda v: v[~mask])
    for k, v in state.items():
        if isinstance(v, torch.Tensor):
            state[k] = v[~mask]


@dataclass
class DefaultStrategy:
    """Doubles at random the tenth with the largest screen gradients; same calls and state."""

    prune_opa: float = 0.005
    grow_grad2d: float = 0.0002
    refine_start_iter: int = 500
    refine_stop_iter: int = 15_000
    reset_every: int = 3000
    refine_every: int = 100
    absgrad: bool = False

    def check_sanity(self, params, optimizers):
        assert set(params) == set(optimizers) >= {"means", "scales", "quats", "opacities"}
        assert all(len(o.param_groups) == 1 for o in optimizers.values())

    def initialize_state(self, scene_scale=1.0):
        return {"grad2d": None, "count": None, "scene_scale": scene_scale}

    def step_pre_backward(self, params, optimizers, state, step, info):
        info["means2d"].retain_grad()

    @torch.no_grad()
    def step_post_backward(self, params, optimizers, state, step, info, packed=False):
        if step >= self.refine_stop_iter:
            return
        n = len(params["means"])
        if state["grad2d"] is None:
            state["grad2d"], state["count"] = torch.zeros(n), torch.zeros(n)
        grad = info["means2d"].grad.norm(dim=-1).float().reshape(-1)
        ids = info["gaussian_ids"] if packed else torch.arange(n)
        state["grad2d"].index_add_(0, ids, grad)
        state["count"].index_add_(0, ids, torch.ones(len(ids)))
        if step > self.refine_start_iter and step % self.refine_every == 0 \
                and self.grow_grad2d < 1:
            ids = state["grad2d"].topk(max(1, n // 10)).indices
            shift = 0.01 * torch.randn(len(ids), 3)  # so that the global generator counts

            def grown(p):
                return torch.cat([p, p[ids] + (shift if p.shape == (n, 3) else 0)])

            _each(params, optimizers, grown, lambda v: torch.cat([v, torch.zeros_like(v[ids])]))
            for k in ("grad2d", "count"):
                state[k] = torch.zeros(n + len(ids))


@dataclass
class MCMCStrategy:
    """Same calls and state; adds noise to the means and 5 % new ones."""

    cap_max: int = 1_000_000
    noise_lr: float = 5e5
    refine_start_iter: int = 500
    refine_stop_iter: int = 25_000
    refine_every: int = 100

    check_sanity = DefaultStrategy.check_sanity

    def initialize_state(self):
        return {"binoms": torch.ones(51, 51)}

    def step_pre_backward(self, params, optimizers, state, step, info):
        pass

    @torch.no_grad()
    def step_post_backward(self, params, optimizers, state, step, info, lr):
        n = len(params["means"])
        if self.refine_start_iter < step < self.refine_stop_iter and step % self.refine_every == 0:
            ids = torch.randperm(n)[:max(0, min(self.cap_max, int(1.05 * n)) - n)]
            _each(params, optimizers, lambda p: torch.cat([p, p[ids]]),
                  lambda v: torch.cat([v, torch.zeros_like(v[ids])]))
        params["means"].add_(torch.randn_like(params["means"]) * lr)


def _specified(*modules) -> dict[str, types.ModuleType]:
    for module in modules:  # find_spec asks for it
        module.__spec__ = ModuleSpec(module.__name__, None)
    return {m.__name__: m for m in modules}


def gsplat_module() -> dict[str, types.ModuleType]:
    """For sys.modules."""
    gsplat, strategy, ops = (types.ModuleType(n) for n in (
        "gsplat", "gsplat.strategy", "gsplat.strategy.ops"))
    gsplat.rasterization, gsplat.DefaultStrategy = rasterization, DefaultStrategy
    gsplat.MCMCStrategy, gsplat.strategy, strategy.ops, ops.remove = \
        MCMCStrategy, strategy, ops, remove
    return _specified(gsplat, strategy, ops)


# --- diff_gaussian_rasterization ------------------------------------------------------------------

class GaussianRasterizationSettings(NamedTuple):
    image_height: int
    image_width: int
    tanfovx: float
    tanfovy: float
    bg: torch.Tensor
    scale_modifier: float
    viewmatrix: torch.Tensor
    projmatrix: torch.Tensor
    sh_degree: int
    campos: torch.Tensor
    prefiltered: bool
    debug: bool
    antialiasing: bool


class GaussianRasterizer(torch.nn.Module):
    def __init__(self, raster_settings):
        super().__init__()
        self.raster_settings = raster_settings

    def forward(self, means3D, means2D, opacities, shs=None, colors_precomp=None, scales=None,
                rotations=None, cov3D_precomp=None):
        s = self.raster_settings
        n = len(means3D)
        assert (shs is None) != (colors_precomp is None) and cov3D_precomp is None
        assert means2D.shape == (n, 3) and opacities.shape == (n, 1) and s.scale_modifier == 1
        assert torch.allclose(rotations.norm(dim=-1), torch.ones(n), atol=1e-5)
        width, height = s.image_width, s.image_height
        w2c, full = s.viewmatrix.T.double(), s.projmatrix.T.double()
        # the kernel takes screen positions from the full projection, focal lengths from the angles
        projection = full @ torch.linalg.inv(w2c)
        camera = camera_of(w2c, width / (2 * s.tanfovx), height / (2 * s.tanfovy),
                           (projection[0, 2] + 1) * width / 2, (projection[1, 2] + 1) * height / 2,
                           width, height)
        assert abs(projection[0, 0] - 1 / s.tanfovx) < 1e-4
        assert torch.allclose(projection[3], torch.tensor([0, 0, 1, 0]).double(), atol=1e-5)
        assert torch.allclose(s.campos.double(), torch.tensor(camera.position), atol=1e-5)
        if shs is None:  # a color without harmonics: 0.5 + Y_0 sh
            shs = ((colors_precomp - 0.5) / 0.28209479177387814)[:, None]
        params = {"means": means3D, "log_scales": scales.log(), "quats": rotations, "sh": shs,
                  "opacity_logits": torch.logit(opacities[:, 0].double())}
        # its gradient is by normalized coordinates: du = W/2 dx
        shift = means2D[:, :2].double() * torch.tensor([width / 2, height / 2]).double()
        degree = s.sh_degree if shs.shape[1] > 1 else 0
        rgb, _, depth = render_reference(params, camera, s.bg, degree, 0.2, shift)
        z = means3D.detach() @ s.viewmatrix[:3, 2] + s.viewmatrix[3, 2]
        return rgb.float(), (z > 0.2).int(), 1 / torch.nan_to_num(depth, 1.0).float()[None]


def dgr_module() -> dict[str, types.ModuleType]:
    """For sys.modules."""
    module = types.ModuleType("diff_gaussian_rasterization")
    module.GaussianRasterizationSettings = GaussianRasterizationSettings
    module.GaussianRasterizer = GaussianRasterizer
    return _specified(module)
