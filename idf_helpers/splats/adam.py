"""Adam (arXiv 1412.6980) over Gaussians, in one pass a tensor, skipping those nobody saw.

A Gaussian outside the picture has no gradient; plain Adam would still move it by its old momentum.
Here its row stays as it is, moments included; the bias correction goes by the global step.
"""

from __future__ import annotations

import numba
import numpy as np

from .gaussians import Gaussians

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15


class Adam:
    """First and second moments of all five tensors, in their shapes, float32.

    Rows can be dropped, copied and zeroed with the Gaussians they belong to (`densify`).
    """

    def __init__(self, gaussians: Gaussians):
        self.first = {k: np.zeros_like(a) for k, a in gaussians.arrays().items()}
        self.second = {k: np.zeros_like(a) for k, a in gaussians.arrays().items()}

    def step(self, gaussians: Gaussians, gradients, visible: np.ndarray, rates: dict[str, float],
             step: int, coefficients: int) -> None:
        """Moves `gaussians` in place.

        gradients: has one array for each tensor of `gaussians`, under its name and in its shape.
        visible: (N,) bool, rows to move. rates: learning rate of each tensor. step: 1, 2, …
        coefficients: how many of the K colour coefficients take part, the others have no gradient.
        """
        n = len(gaussians)
        for name, values in gaussians.arrays().items():
            columns = 3 * coefficients if name == "sh" else values.size // max(n, 1)
            # m̂ = m/(1-β1ᵗ), v̂ = v/(1-β2ᵗ), p -= lr·m̂/(√v̂ + ε)
            _adam_rows(values.reshape(n, -1), self.first[name].reshape(n, -1),
                       self.second[name].reshape(n, -1),
                       getattr(gradients, name).reshape(n, -1), visible, columns,
                       np.float32(rates[name] / (1 - BETA1**step)),
                       np.float32(1 / (1 - BETA2**step)))


@numba.njit(parallel=True, cache=True, error_model="numpy")
def _adam_rows(values, first, second, gradient, visible, columns, rate, correction):
    b1, b2 = np.float32(BETA1), np.float32(BETA2)
    a1, a2 = np.float32(1 - BETA1), np.float32(1 - BETA2)
    eps = np.float32(EPSILON)
    for i in numba.prange(values.shape[0]):
        if visible[i]:
            for k in range(columns):
                g = gradient[i, k]
                m = b1 * first[i, k] + a1 * g
                v = b2 * second[i, k] + a2 * g * g
                first[i, k] = m
                second[i, k] = v
                values[i, k] -= rate * m / (np.sqrt(v * correction) + eps)
