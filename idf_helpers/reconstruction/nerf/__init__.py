"""Radiance fields: `voxel` for a CPU, `vanilla` for nerf-pytorch's configs and checkpoints."""
