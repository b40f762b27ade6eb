"""Gaussian splats: the model on disk and in memory, rasterizers, training."""
