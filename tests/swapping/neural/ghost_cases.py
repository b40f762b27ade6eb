"""Inputs and small networks for GHOST's path, the same for upstream's code and for ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from idf_helpers.swapping.neural.ghost_align import POSES
from idf_helpers.swapping.neural.ghost_nets import GhostNets

# How far the new face's landmarks are moved outward (pixels), so that each width of mask is met.
SHIFTS = (0.0, -1.4, -3.0, 2.0)


def _turns() -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    out = []
    for pose in POSES.astype(np.float64):
        for _ in range(3):
            a, s = rng.uniform(-0.6, 0.6), rng.uniform(0.5, 3)
            R = s * np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
            out.append(pose @ R + rng.uniform(0, 300, 2) + rng.normal(0, 2, (5, 2)))
    return out


TURNS = _turns()


def walk(frames: int = 24) -> list[np.ndarray]:
    """Five points that drift and tremble, and twice jump."""
    rng = np.random.default_rng(9)
    at = 200 + np.cumsum(rng.normal(0, 1, (frames, 2)), axis=0)
    at[9:] += 12
    at[19:] -= 9
    return [POSES[2] + p + rng.normal(0, 0.5, (5, 2)) for p in at]


class SmallGenerator(nn.Module):
    """Same call as AEI_Net: (target, embedding) -> (picture, attributes)."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 3, padding=1)
        self.told = nn.Linear(512, 3)

    def forward(self, Xt, z_id):
        y = self.mix(Xt) + self.told(z_id)[:, :, None, None]
        return torch.tanh(y), (Xt,)


class SmallRecognizer(nn.Module):
    """(B, 3, 112, 112) -> (B, 512), by mean colors in 7 x 7 cells."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3 * 49, 512)

    def forward(self, x):
        return self.fc(nn.functional.avg_pool2d(x, 16).flatten(1))


def small_nets(seed: int = 0) -> GhostNets:
    generator, recognizer = SmallGenerator().eval(), SmallRecognizer().eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for net in (generator, recognizer):
            for p in net.parameters():
                p.copy_(torch.from_numpy(rng.normal(0, 0.2, p.shape).astype(np.float32)))
    return GhostNets(generator, recognizer)


# A stand-in for the clone: the same module and class names, and the same call, but small.
CODE = {
    "network/AEI_Net.py": """
import torch
import torch.nn as nn
from .AADLayer import *
from network.resnet import Color


class AEI_Net(nn.Module):
    def __init__(self, backbone, num_blocks=2, c_id=256):
        super().__init__()
        assert backbone == "unet" and c_id == 512
        self.encoder = Color()
        self.generator = nn.Sequential(*[Mix(c_id) for _ in range(num_blocks)])

    def forward(self, Xt, z_id):
        y = self.encoder(Xt)
        for block in self.generator:
            y = block(y, z_id)
        return torch.tanh(y), (Xt,)
""",
    "network/AADLayer.py": """
import torch.nn as nn


class Mix(nn.Module):
    def __init__(self, c_id):
        super().__init__()
        self.fc1 = nn.Linear(c_id, 3)

    def forward(self, x, z):
        return x + self.fc1(z)[:, :, None, None]
""",
    "network/resnet.py": """
import torch.nn as nn


class Color(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv1(x)
""",
    "LICENSE": "as a test wrote it\n",
}


def write_clone(folder: Path) -> Path:
    for name, text in CODE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder
