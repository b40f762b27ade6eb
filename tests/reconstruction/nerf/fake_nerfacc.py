"""A stand-in for nerfacc 0.5.3: the signatures of its estimator and of `rendering`, in plain torch
(compared by hand with estimators/occ_grid.py and volrend.py)."""

import torch


class OccGridEstimator(torch.nn.Module):
    def __init__(self, roi_aabb, resolution=128, levels=1, **kwargs):
        super().__init__()
        assert not kwargs and levels == 1 and roi_aabb.shape == (6,)
        self.register_buffer("aabb", roi_aabb)
        self.register_buffer("binaries", torch.ones((1, 4, 4, 4), dtype=torch.bool))
        self.updates = []

    def update_every_n_steps(self, step, occ_eval_fn, occ_thre=1e-2, ema_decay=0.95,
                             warmup_steps=256, n=16):
        if step % n == 0:
            corners = self.aabb.reshape(2, 3)
            found = occ_eval_fn(corners[:1] + (corners[1:] - corners[:1]) * torch.rand(8, 3))
            assert found.shape == (8, 1) and (found >= 0).all()
            self.updates.append(step)

    @torch.no_grad()
    def sampling(self, rays_o, rays_d, sigma_fn=None, alpha_fn=None, near_plane=0.0,
                 far_plane=1e10, t_min=None, t_max=None, render_step_size=1e-3,
                 early_stop_eps=1e-4, alpha_thre=0.0, stratified=False, cone_angle=0.0):
        assert rays_o.shape == rays_d.shape and (rays_d.norm(dim=-1) - 1).abs().max() < 1e-5
        count = 12
        edges = torch.linspace(0, 1, count + 1)
        edges = t_min[:, None] + (t_max - t_min)[:, None] * edges
        starts, ends = edges[:, :-1].reshape(-1), edges[:, 1:].reshape(-1)
        ray = torch.arange(len(rays_o)).repeat_interleave(count)
        assert sigma_fn(starts, ends, ray).shape == (len(starts),)
        return ray, starts, ends


def rendering(t_starts, t_ends, ray_indices=None, n_rays=None, rgb_sigma_fn=None,
              rgb_alpha_fn=None, render_bkgd=None):
    rgb, sigma = rgb_sigma_fn(t_starts, t_ends, ray_indices)
    count = len(t_starts) // n_rays
    optical = (sigma * (t_ends - t_starts)).reshape(n_rays, count)
    passed = torch.exp(-torch.cumsum(optical, 1) + optical)
    weights = passed * (1 - torch.exp(-optical))
    total = weights.sum(1, keepdim=True)
    middle = (0.5 * (t_starts + t_ends)).reshape(n_rays, count)
    depth = (weights * middle).sum(1, keepdim=True) / total.clamp(min=1e-10)
    color = (weights[..., None] * rgb.reshape(n_rays, count, 3)).sum(1)
    return color + (1 - total) * render_bkgd, total, depth, {}
