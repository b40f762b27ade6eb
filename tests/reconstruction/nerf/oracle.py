"""The voxel field's rays in double precision with torch's own gradients, from the formulas."""

import numpy as np
import torch

from idf_helpers.reconstruction.nerf.march import STEP, T_STOP

C0, C1 = 0.28209479177387814, 0.4886025119029199


def batch_loss(params, slots, skip, poses, views, columns, rows, colors, background, jitter):
    """Mean over the rays of |C - target|²; params (N, 16) float64 with gradients, degree 1."""
    size = np.array(slots.shape)
    losses = []
    for r in range(len(views)):
        pose = poses[views[r]].astype(np.float64)
        u, v = (columns[r] + 0.5 - pose[14]) / pose[12], (pose[15] - rows[r] - 0.5) / pose[13]
        d = pose[:9].reshape(3, 3) @ [u, v, -1]
        d, origin = d / np.linalg.norm(d), pose[9:12]
        enter, leave = (0.5 - origin) / d, (size - 1.5 - origin) / d
        first = max(np.minimum(enter, leave).max(), 0)
        t = np.arange(first + STEP * jitter[r], np.maximum(enter, leave).min(), STEP)
        p = origin + t[:, None] * d
        p = p[skip[tuple(np.floor(p).astype(int).T)] == 0]
        cell, place = np.floor(p).astype(int), torch.tensor(p - np.floor(p))
        value = torch.zeros(len(p), params.shape[1], dtype=torch.float64)
        for corner in np.ndindex(2, 2, 2):
            weight = torch.ones(len(p), dtype=torch.float64)
            for axis in range(3):
                weight = weight * (place[:, axis] if corner[axis] else 1 - place[:, axis])
            value = value + weight[:, None] * params[slots[tuple((cell + corner).T)]]
        passed = torch.exp(-torch.nn.functional.softplus(value[:, 0]) * STEP)
        T = torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(passed, 0)])
        live = T[:-1] > T_STOP
        Y = torch.tensor([C0, -C1 * d[1], C1 * d[2], -C1 * d[0]])
        weight = T[:-1] * (1 - passed) * live
        behind = torch.tensor(background[r].astype(np.float64))
        color = torch.stack([(weight * (value[:, 1 + 4 * c:5 + 4 * c] @ Y)).sum()
                              for c in range(3)]) + T[int(live.sum())] * behind
        alpha = colors[r, 3] / 255
        target = torch.tensor(colors[r, :3] / 255) + (1 - alpha) * behind
        losses.append(((color - target) ** 2).sum())
    return torch.stack(losses).mean()
