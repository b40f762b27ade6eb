"""Gaussian splats: the model on disk and in memory, rasterisers, training."""
