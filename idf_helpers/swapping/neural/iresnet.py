"""IResNet, the network of ArcFace recognizers (Duta et al. 2020, arXiv 2004.04989).

Names of the tensors as in InsightFace's and GHOST's weights, so that those fit.
"""

from __future__ import annotations

import torch
from torch import nn

LAYERS_100 = (3, 13, 30, 3)


def _bn(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-5)


class Block(nn.Module):
    """x -> shortcut(x) + bn3 conv2 prelu bn2 conv1 bn1 x; halves the size where stride is 2."""

    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        self.bn1 = _bn(inside)
        self.conv1 = nn.Conv2d(inside, outside, 3, 1, 1, bias=False)
        self.bn2 = _bn(outside)
        self.prelu = nn.PReLU(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, stride, 1, bias=False)
        self.bn3 = _bn(outside)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False),
                                            _bn(outside))

    def forward(self, x):  # (B, inside, H, W)
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return y + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """(B, 3, 112, 112) RGB in [-1, 1] -> (B, 512) embedding, not normalized.

    layers: blocks in each of four stages; (3, 13, 30, 3) is iresnet100. width: channels of the
    first stage (64), each further stage doubles it.
    """

    def __init__(self, layers=LAYERS_100, width: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = _bn(width)
        self.prelu = nn.PReLU(width)
        inside = width
        for k, count in enumerate(layers):
            outside = width << k
            blocks = [Block(inside if i == 0 else outside, outside, 2 if i == 0 else 1)
                      for i in range(count)]
            setattr(self, f"layer{k + 1}", nn.Sequential(*blocks))
            inside = outside
        self.bn2 = _bn(inside)
        self.fc = nn.Linear(inside * 7 * 7, 512)
        self.features = nn.BatchNorm1d(512, eps=1e-5)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(torch.flatten(self.bn2(x), 1)))
