"""The NeRF of the paper (arXiv 2003.08934) as yenchenlin/nerf-pytorch has it."""
