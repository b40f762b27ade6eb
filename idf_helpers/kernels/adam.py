"""Adam (arXiv 1412.6980) over Gaussians, in one pass, skipping those nobody saw.

A Gaussian outside the picture has no gradient; plain Adam would still move it by its old momentum.
Here its row stays as it is, moments included; the bias correction goes by the global step.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .compile import kernel
from .threads import first_item, next_item, run_on_threads

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15
PART = 1024  # Gaussians that a thread takes at a time


class Tensors(Protocol):
    """Rows of several named tensors, such as `Gaussians`."""

    def __len__(self) -> int: ...

    def arrays(self) -> dict[str, np.ndarray]: ...


class Adam:
    """First and second moments of all five tensors, in their shapes, float32.

    Rows can be dropped, copied and zeroed with the Gaussians they belong to (`densify`).
    """

    def __init__(self, gaussians: Tensors):
        self.first = {k: np.zeros_like(a) for k, a in gaussians.arrays().items()}
        self.second = {k: np.zeros_like(a) for k, a in gaussians.arrays().items()}

    def step(self, gaussians: Tensors, gradients, visible: np.ndarray, rates: dict[str, float],
             step: int, coefficients: int) -> None:
        """Move `gaussians` in place.

        gradients: its `arrays()` has one for each tensor of `gaussians`, in its shape.
        visible: (N,) bool, rows to move. rates: learning rate of each tensor. step: 1, 2, …
        coefficients: how many of the K color coefficients take part, the others have no gradient.
        """
        if not len(gaussians):
            return
        # m̂ = m/(1-β1ᵗ), v̂ = v/(1-β2ᵗ), p -= lr·m̂/(√v̂ + ε)
        names = list(gaussians.arrays())
        rows = [tuple(_rows(table[name]) for name in names) for table in
                (gaussians.arrays(), self.first, self.second, gradients.arrays())]
        columns = np.array([3 * coefficients if name == "sh" else values.shape[1]
                            for name, values in zip(names, rows[0], strict=True)])
        speed = np.array([rates[name] / (1 - BETA1**step) for name in names], np.float32)
        run_on_threads(_adam_rows, *rows, visible, columns, speed,
                       np.float32(1 / (1 - BETA2**step)))


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


@kernel
def _adam_rows(values, first, second, gradients, visible, columns, speed, correction, counter):
    b1, b2 = np.float32(BETA1), np.float32(BETA2)
    a1, a2 = np.float32(1 - BETA1), np.float32(1 - BETA2)
    eps = np.float32(EPSILON)
    part = first_item(counter)
    while part * PART < len(visible):
        for t in range(len(values)):
            p, m, v, g = values[t], first[t], second[t], gradients[t]
            for i in range(part * PART, min((part + 1) * PART, len(visible))):
                if visible[i]:
                    for k in range(columns[t]):
                        m[i, k] = b1 * m[i, k] + a1 * g[i, k]
                        v[i, k] = b2 * v[i, k] + a2 * g[i, k] * g[i, k]
                        p[i, k] -= speed[t] * m[i, k] / (np.sqrt(v[i, k] * correction) + eps)
        part = next_item(counter)
