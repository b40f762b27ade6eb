"""The tables of reconstruction methods: Gaussian splats, radiance fields, avatars."""

from __future__ import annotations

from ..runtime.cuda import lacks_gsplat
from ..runtime.registry import Entry, Registry, lacks_modules
from .upstream.graphdeco.clone import missing as lacks_graphdeco
from .upstream.nerface.clone import missing as lacks_nerface

_lacks_kernels = lacks_modules(numba="numba", cv2="opencv-python-headless", scipy="scipy")
_lacks_torch = lacks_modules(torch="torch")

SPLATS = Registry("splats", [
    Entry("gsplat", "idf_helpers.reconstruction.splats.gsplat_method:GsplatSplats",
          "gsplat's kernels and strategies on an NVIDIA GPU", 20, lacks_gsplat,
          license="Apache-2.0", argument="gsplat",
          config="idf_helpers.reconstruction.splats.gsplat_config:GsplatConfig"),
    Entry("graphdeco", "idf_helpers.reconstruction.upstream.graphdeco.method:Graphdeco",
          "the trainer of 3DGS as published, on an NVIDIA GPU", 15, lacks_graphdeco,
          license="for research only (Inria)", commercial=False, argument="graphdeco",
          config="idf_helpers.reconstruction.upstream.graphdeco.config:GraphdecoConfig"),
    Entry("cpu", "idf_helpers.reconstruction.splats.cpu_method:CpuSplats",
          "numba kernels on this machine's processor", 10, _lacks_kernels, argument="cpu",
          config="idf_helpers.reconstruction.splats.config:SplatConfig"),
    Entry("reference", "idf_helpers.reconstruction.splats.cpu_method:CpuSplats",
          "pure torch, test oracle: for small scenes and pictures only", 0, _lacks_torch,
          argument="reference",
          config="idf_helpers.reconstruction.splats.config:SplatConfig"),
])

RADIANCE_FIELDS = Registry("nerf", [
    Entry("voxel", "idf_helpers.reconstruction.nerf.voxel_method:VoxelField",
          "a sparse voxel field, numba kernels on this machine's processor", 10, _lacks_kernels,
          argument="voxel",
          config="idf_helpers.reconstruction.nerf.config:VoxelConfig"),
    Entry("vanilla", "idf_helpers.reconstruction.nerf.vanilla.method:VanillaNerf",
          "the NeRF paper's network, with nerf-pytorch's configs and checkpoints; on a CPU "
          "for small pictures only", 5, _lacks_torch, argument="vanilla",
          config="idf_helpers.reconstruction.nerf.vanilla.config:VanillaConfig"),
])

AVATARS = Registry("avatar", [
    Entry("gsplat", "idf_helpers.reconstruction.avatar.method:BlendshapeAvatar",
          "Gaussians with an expression basis, drawn by gsplat on an NVIDIA GPU", 20, lacks_gsplat,
          license="Apache-2.0", argument="gsplat",
          config="idf_helpers.reconstruction.avatar.config:AvatarConfig"),
    Entry("cpu", "idf_helpers.reconstruction.avatar.method:BlendshapeAvatar",
          "Gaussians with an expression basis, on this machine's processor", 10, _lacks_kernels,
          argument="cpu",
          config="idf_helpers.reconstruction.avatar.config:AvatarConfig"),
    Entry("nerface", "idf_helpers.reconstruction.upstream.nerface.method:Nerface",
          "NeRFace as published, from your clone: days on a GPU", 0, lacks_nerface,
          license="MIT (its data: CC BY-NC-SA)", commercial=False, argument="nerface",
          config="idf_helpers.reconstruction.upstream.nerface.config:NerfaceConfig"),
])

METHODS = {table.stage: table for table in (SPLATS, RADIANCE_FIELDS, AVATARS)}
