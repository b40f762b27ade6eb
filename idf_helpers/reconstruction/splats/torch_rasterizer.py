"""Rasterizers that torch differentiates, behind the interface of the CPU's: numpy in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ...data.cameras import Camera
from ...errors import IdfError
from ...runtime.cuda import out_of_memory
from .gaussians import Gaussians
from .rasterizer import Gradients, Render, checked_degree, checked_near
from .reference import PIXEL, render_reference


@dataclass(frozen=True)
class Drawn:
    """A picture as tensors with their graph.

    rgb (3, H, W), alpha (H, W); depth (H, W): sum w·z / sum w, finite everywhere.
    screen: call after backward -> (N,) |dL/du| + |dL/dv|, screen position in pixels.
    visible: call after backward -> (N,) bool.
    """

    rgb: torch.Tensor
    alpha: torch.Tensor
    depth: torch.Tensor
    screen: Callable[[], torch.Tensor]
    visible: Callable[[], torch.Tensor]


class TorchRasterizer:
    """`rasterizer.Rasterizer` by torch's autograd. Subclasses say how to draw.

    device: torch device that draws. near: world units; nearer Gaussians are not drawn.
    Where the GPU's memory runs out, `halve` is asked once for a way with less; then IdfError.
    """

    name = "torch"
    cuda = True  # whether it can draw on a GPU only

    def __init__(self, device: str | None = None, near: float = 0.05):
        self.device = torch.device(device or ("cuda" if self.cuda else "cpu"))
        if self.device.type == "cuda":
            try:  # a GPU may be there and its driver too old for this torch
                torch.cuda.init()
            except (RuntimeError, AssertionError) as error:
                raise IdfError("torch cannot use this machine's GPU", str(error).split("\n")[0],
                               "update the NVIDIA driver, or install the torch that fits it: "
                               "https://pytorch.org/get-started/locally") from None
        self.near = checked_near(near)
        self.last: Render | None = None
        self._saved: tuple | None = None

    def draw(self, tensors: dict[str, torch.Tensor], camera: Camera, background: torch.Tensor,
             degree: int, dilation: float) -> Drawn:
        """Draw. tensors: by the names of `Gaussians`, at least one Gaussian; background (3,);
        dilation: pixels² added to the screen covariance."""
        raise NotImplementedError

    def halve(self) -> bool:
        """Switch to a way of drawing that takes less memory; False where there is none."""
        return False

    def forward(self, g: Gaussians, camera: Camera, background=(1, 1, 1),
                sh_degree: int | None = None, train: bool = False,
                dilation: float = PIXEL) -> Render:
        """Draw as `CpuRasterizer.forward` does. Raises IdfError where the memory is too small."""
        g = Gaussians(**g.arrays()).checked()
        degree = checked_degree(g, camera, sh_degree)
        color = torch.as_tensor(np.asarray(background, np.float32).reshape(3), device=self.device)
        return self._twice(lambda: self._forward(g, camera, color, degree, dilation, train),
                           g, camera)

    def backward(self, d_rgb, d_alpha=None, d_depth=None) -> Gradients:
        """Differentiate as `CpuRasterizer.backward` does. RuntimeError without a
        forward(train=True) before it."""
        if self._saved is None:
            raise RuntimeError("backward needs a forward(train=True) just before it")
        g, camera = self._saved[:2]

        def run():
            if self._saved[-1] is None:  # the graph went with the first try
                self._forward(*self._saved[:-1], True)
            return self._backward(d_rgb, d_alpha, d_depth)

        return self._twice(run, g, camera)

    def _twice(self, run, g: Gaussians, camera: Camera):
        try:
            return run()
        except torch.OutOfMemoryError:
            if self._saved is not None:
                self._saved = (*self._saved[:-1], None)
            if not self.halve():
                raise out_of_memory("this picture", len(g), camera.width, camera.height) from None
        torch.cuda.empty_cache()  # outside of `except`, whose traceback holds the tensors
        try:
            return run()
        except torch.OutOfMemoryError:
            raise out_of_memory("this picture", len(g), camera.width, camera.height) from None

    def _forward(self, g, camera, background, degree, dilation, train) -> Render:
        tensors = {name: torch.as_tensor(a, device=self.device).clone().requires_grad_(train)
                   for name, a in g.arrays().items()}
        with torch.set_grad_enabled(train):
            drawn = self.draw(tensors, camera, background, degree, dilation) if len(g) else \
                self._nothing(camera, background)
        rgb, alpha, depth = (t.detach().to("cpu", torch.float32).numpy().copy()
                             for t in (drawn.rgb, drawn.alpha, drawn.depth))
        depth[alpha < 0.5] = np.nan
        picture = Render(rgb, alpha, depth)
        self._saved = (g, camera, background, degree, dilation, (tensors, drawn)) if train else None
        self.last = picture if train else None
        return picture

    def _nothing(self, camera: Camera, background: torch.Tensor) -> Drawn:
        empty = torch.zeros(camera.height, camera.width, device=self.device, requires_grad=True)
        none = torch.zeros(0, device=self.device)
        return Drawn(background[:, None, None] + empty, empty * 1, empty * 1, lambda: none,
                     lambda: none > 0)

    def _backward(self, d_rgb, d_alpha, d_depth) -> Gradients:
        g, *_, (tensors, drawn) = self._saved
        outputs, gradients = [], []
        for name, output, d in (("d_rgb", drawn.rgb, d_rgb), ("d_alpha", drawn.alpha, d_alpha),
                                ("d_depth", drawn.depth, d_depth)):
            if d is None or not output.requires_grad:  # nothing in front of the camera
                continue
            d = torch.as_tensor(np.ascontiguousarray(d), dtype=output.dtype, device=self.device)
            if d.shape != output.shape:
                raise IdfError(f"`{name}` does not fit the picture", f"shape {tuple(d.shape)}",
                               f"give {tuple(output.shape)}")
            if name == "d_depth":  # pixels without a depth pass nothing
                d = torch.where(drawn.alpha.detach() >= 0.5, d, 0)
            outputs.append(output)
            gradients.append(d)
        for tensor in tensors.values():
            tensor.grad = None
        if outputs:
            torch.autograd.backward(outputs, gradients)
        self._saved = (*self._saved[:-1], None)
        found = [gradient(t).cpu().numpy() for t in tensors.values()]
        return Gradients(*found, drawn.screen().float().cpu().numpy(),
                         drawn.visible().cpu().numpy())


def gradient(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's gradient, zeros where nothing reached it."""
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


class ReferenceRasterizer(TorchRasterizer):
    """The test oracle of `reference.py` as a rasterizer: exact, O(N · pixels), on any machine."""

    name = "reference"
    cuda = False

    def draw(self, tensors, camera, background, degree, dilation) -> Drawn:
        shift = torch.zeros(len(tensors["means"]), 2, dtype=torch.float64, device=self.device,
                            requires_grad=True)
        rgb, alpha, depth = render_reference(tensors, camera, background, degree, self.near, shift,
                                             dilation=dilation)
        solid = torch.nan_to_num(depth)
        return Drawn(rgb, alpha, solid, lambda: gradient(shift).abs().sum(1),
                     lambda: gradient(tensors["opacity_logits"]) != 0)
