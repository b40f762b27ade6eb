"""The occlusion network in PyTorch: its layers, its training, and how it is kept for OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from idf_helpers.face.flat import SIZE
from idf_helpers.face.occlusion import CLASSES, channels, fold

WIDTHS = (16, 24, 40, 48)
INPUTS = 4 * 12  # channels of `channels`, four pixels folded into one


def _conv(a, b, stride=1, dilation=1, size=3):
    return nn.Sequential(nn.Conv2d(a, b, size, stride, dilation * (size // 2), dilation,
                                   bias=False),
                         nn.BatchNorm2d(b), nn.ReLU(inplace=True))


class OcclusionNet(nn.Module):
    """(N, C, S/2, S/2) folded channels -> (N, 4 K, S/2, S/2): scores of K classes for each of the
    four pixels that were folded into one."""

    def __init__(self, inputs: int):
        super().__init__()
        a, b, c, d = WIDTHS
        self.one = nn.Sequential(_conv(inputs, a, size=1), _conv(a, a))
        self.two = nn.Sequential(_conv(a, b, 2), _conv(b, b))
        self.three = nn.Sequential(_conv(b, c, 2), _conv(c, c), _conv(c, c, dilation=2))
        self.four = nn.Sequential(_conv(c, d, 2), _conv(d, d), _conv(d, d))
        self.up3 = nn.Sequential(_conv(c + d, c, size=1), _conv(c, c))
        self.up2 = nn.Sequential(_conv(b + c, b, size=1), _conv(b, b))
        self.up1 = nn.Sequential(_conv(a + b, a, size=1), _conv(a, a))
        self.out = nn.Conv2d(a, 4 * len(CLASSES), 1)

    def forward(self, x):
        one = self.one(x)
        two = self.two(one)
        three = self.three(two)
        x = self.four(three)
        x = self.up3(torch.cat([_twice(x), three], 1))
        x = self.up2(torch.cat([_twice(x), two], 1))
        x = self.up1(torch.cat([_twice(x), one], 1))
        return self.out(x)


def _twice(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


def unfold_scores(scores):
    """(N, 4 K, s, s) -> (N, K, 2 s, 2 s)."""
    n, _, h, w = scores.shape
    x = scores.reshape(n, 2, 2, len(CLASSES), h, w)
    return x.permute(0, 3, 4, 1, 5, 2).reshape(n, len(CLASSES), 2 * h, 2 * w)


def _batch(arrays, chosen, rng):
    """Inputs, classes and weights of some samples, mirrored and recolored by chance."""
    pictures, seen, classes = (a[chosen] for a in arrays)
    inputs, truth, weight = [], [], []
    levels = np.arange(256, dtype=np.float32)
    for rgb, s, k in zip(pictures, seen, classes, strict=True):
        if rng.random() < 0.5:
            rgb, s, k = (np.ascontiguousarray(a[:, ::-1]) for a in (rgb, s, k))
        curves = [np.clip(levels * rng.uniform(0.88, 1.14) + rng.normal(0, 4), 0, 255)
                  .astype(np.uint8) for _ in range(3)]
        rgb = cv2.LUT(rgb, np.stack(curves, -1)[None])
        if rng.random() < 0.25:
            noise = np.empty(rgb.shape, np.int16)
            cv2.randn(noise, 0, rng.uniform(1, 8))
            rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
        s = s.astype(np.float32) / np.float32(255)
        inputs.append(fold(channels(rgb, s)))
        truth.append(k.astype(np.int64))
        weight.append(s > 0.1)
    return (torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(truth)),
            torch.from_numpy(np.stack(weight).astype(np.float32)))


def train(arrays, steps: int, seed: int = 0, batch: int = 24, rate: float = 3e-3, net=None,
          report=print):
    """Return a network trained on samples (see `occlusion_samples.samples`)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = net or OcclusionNet(INPUTS)
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=1e-3)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    net.train()
    total = 0.0
    for step in range(steps):
        x, k, w = _batch(arrays, rng.integers(len(arrays[0]), size=batch), rng)
        with torch.autocast("cpu", torch.bfloat16):
            scores = net(x.contiguous(memory_format=torch.channels_last))
        scores = unfold_scores(scores.float())
        cross = F.cross_entropy(scores, k, reduction="none") * w
        free = scores.softmax(1)[:, 0]
        hidden, thing = (1 - free) * w, (k > 0).float() * w
        # Overlap of what is found with what is there, over each sample that has something.
        both = 2 * (hidden * thing).sum((1, 2)) + 20
        dice = 1 - both / (hidden.sum((1, 2)) + thing.sum((1, 2)) + 20)
        loss = cross.sum() / w.sum() + 0.3 * dice.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        plan.step()
        total += loss.item()
        if step % 50 == 49:
            report(f"step {step + 1}: loss {total / 50:.4f}")
            total = 0.0
    return net.eval()


def save(net, path) -> None:
    """Write the network as ONNX, which OpenCV reads."""
    net = net.to(memory_format=torch.contiguous_format).eval()
    torch.onnx.export(net, torch.zeros(1, INPUTS, SIZE // 2, SIZE // 2), str(path), dynamo=False,
                      input_names=["face"], output_names=["scores"], opset_version=13)
