"""A tiny avatar: a ball with a mouth that opens, eyes that close, and a plate that stands still."""

from types import SimpleNamespace

import numpy as np

from idf_helpers.reconstruction.splats.gaussians import SH_C0, Gaussians

NAMES = ("jawOpen", "mouthSmile_L", "mouthSmile_R", "eyeBlink_L", "eyeBlink_R", "browInnerUp",
         "cheekPuff", "jawLeft", "mouthPucker", "noseSneer_L", "noseSneer_R", "tongueOut")
BASES = 5
MOUTH = np.array([0.0, -0.68, -0.3])  # the face looks toward -y


def talking_ball(n: int = 3000, still: int = 400, seed: int = 3) -> SimpleNamespace:
    """The parts of `avatar.basis.BlendAvatar`: basis, gaussians, deltas, still."""
    r = np.random.default_rng(seed)
    d = r.normal(size=(n, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    means = 0.75 * d
    rgb = np.clip([0.75, 0.55, 0.45] + 0.1 * np.sin(5 * d), 0, 1)
    near = np.exp(-(np.linalg.norm(means - MOUTH, axis=1) / 0.22) ** 2)  # (N,) 1 at the mouth
    eyes = [np.exp(-(np.linalg.norm(means - [x, -0.66, 0.25], axis=1) / 0.12) ** 2)
            for x in (-0.25, 0.25)]
    rgb[near > 0.5] = [0.6, 0.15, 0.15]
    for e in eyes:
        rgb[e > 0.5] = [0.95, 0.95, 0.95]
    g = Gaussians(means, r.normal(-3.1, 0.3, (n, 3)), r.normal(size=(n, 4)), r.normal(2.5, 1, n),
                  ((rgb - 0.5) / SH_C0)[:, None]).checked()
    deltas = {"means": np.zeros((BASES, n, 3)), "log_scales": np.zeros((BASES, n, 3)),
              "quats": np.zeros((BASES, n, 4)), "opacity_logits": np.zeros((BASES, n)),
              "sh": np.zeros((BASES, n, 3))}
    lower = near * (means[:, 2] < MOUTH[2])
    deltas["means"][0] = lower[:, None] * [0, 0.02, -0.25]          # the jaw drops
    deltas["sh"][0] = near[:, None] * [-1.2, -0.4, -0.4]            # and it is dark inside
    deltas["quats"][0] = near[:, None] * r.normal(0, 0.5, (n, 4))
    deltas["log_scales"][0] = -0.4 * near[:, None] * [1, 0, 1]
    deltas["means"][1] = near[:, None] * np.sign(means[:, :1]) * [0.12, 0, 0] + \
        near[:, None] * [0, 0, 0.06]
    for k, e in enumerate(eyes):
        deltas["sh"][2 + k] = -e[:, None] * [0.6, 1.2, 1.6]
        deltas["opacity_logits"][2 + k] = 1.5 * e
    deltas["opacity_logits"][4] = -6 * near                          # the mouth vanishes
    weights = np.zeros((len(NAMES), BASES))
    for row, base, w in ((0, 0, 1.0), (1, 1, 0.6), (2, 1, 0.6), (3, 2, 1.0), (4, 3, 1.0),
                         (11, 4, 1.0), (8, 1, -0.5)):
        weights[row, base] = w
    e = len(NAMES)
    neutral = np.full(e, 0.05, np.float32)
    basis = SimpleNamespace(names=NAMES, weights=weights.astype(np.float32), mean=neutral * 3,
                            low=np.zeros(e, np.float32), high=np.ones(e, np.float32),
                            neutral=neutral)
    plate = r.uniform([-0.7, 0.1, -0.95], [0.7, 0.5, -0.75], (still, 3))
    body = Gaussians(plate, np.full((still, 3), -2.6), r.normal(size=(still, 4)),
                     np.full(still, 2.0), np.tile((np.array([0.2, 0.3, 0.6]) - 0.5) / SH_C0,
                                                  (still, 1, 1))).checked()
    return SimpleNamespace(basis=basis, gaussians=g, still=body,
                           deltas={k: v.astype(np.float32) for k, v in deltas.items()})


def at(avatar, expression) -> Gaussians:
    """The formula of the contract, on all Gaussians: neutral + sum_k w_k delta_k."""
    from idf_helpers.exporting.avatar_payload import whole

    g, face = whole(avatar)
    deltas = face.deltas
    w = (np.asarray(expression) - avatar.basis.neutral) @ avatar.basis.weights
    moved = {n: a + np.tensordot(w, deltas[n], 1) for n, a in g.arrays().items() if n != "sh"}
    sh = g.sh.copy()
    sh[:, 0] += np.tensordot(w, deltas["sh"], 1)
    return Gaussians(**moved, sh=sh).checked()


class BallScene:
    """The ball as viewers see an avatar's scene."""

    def __init__(self, n: int = 1500):
        from idf_helpers.data.cameras import Camera

        self.avatar = talking_ball(n)
        self.basis = self.avatar.basis
        self.cameras = [Camera.look_at((4 * np.sin(a), -4 * np.cos(a), 0.2), (0, 0, 0), (0, 0, 1),
                                       0.5, 128, 128) for a in np.linspace(-0.6, 0.6, 5)]

    def render(self, camera, expression=None, background=None):
        from idf_helpers.reconstruction.splats.scene import GaussianScene

        e = self.basis.neutral if expression is None else expression
        return GaussianScene(at(self.avatar, e)).render(camera, None, background)
