"""The picture of a few Gaussians, written down in double precision without regard for speed."""

import numpy as np

from idf_helpers.reconstruction.splats.gaussians import Gaussians


def rotation(q) -> np.ndarray:
    w, x, y, z = q / np.linalg.norm(q)
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                     [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                     [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])


def draw(g: Gaussians, camera, background) -> np.ndarray:
    """(H, W, 3) uint8; degree 0 and 1, all Gaussians well inside the picture."""
    R = camera.w2c_cv[:3, :3]
    uv, depth = camera.project(g.means)
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    image = np.broadcast_to(np.asarray(background, float), (camera.height, camera.width, 3)).copy()
    for i in np.argsort(-depth):  # far to near
        p = R @ g.means[i] + camera.w2c_cv[:3, 3]
        J = np.array([[camera.fx / p[2], 0, -camera.fx * p[0] / p[2]**2],
                      [0, camera.fy / p[2], -camera.fy * p[1] / p[2]**2]])
        M = rotation(g.quats[i]) * np.exp(g.log_scales[i])
        S = J @ R @ M
        conic = np.linalg.inv(S @ S.T + 0.3 * np.eye(2))
        dx, dy = x - uv[i, 0], y - uv[i, 1]
        sigma = 0.5 * (conic[0, 0] * dx**2 + conic[1, 1] * dy**2) + conic[0, 1] * dx * dy
        alpha = g.opacities[i] * np.exp(-sigma)
        alpha = np.where(alpha < 1 / 255, 0, np.minimum(alpha, 0.99))[..., None]
        d = g.means[i] - camera.position
        d = d / np.linalg.norm(d)
        Y = np.array([0.28209479, -0.48860251 * d[1], 0.48860251 * d[2], -0.48860251 * d[0]])
        color = np.maximum(0, 0.5 + Y[:g.sh.shape[1]] @ g.sh[i])
        image = (1 - alpha) * image + alpha * color
    return np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)
