"""The table of rasterizers: what draws Gaussians, for splats and avatars alike."""

from __future__ import annotations

from ...runtime.cuda import lacks_gsplat
from ...runtime.registry import Entry, Registry, lacks_modules
from ..upstream.graphdeco.clone import missing as lacks_graphdeco

RASTERIZERS = Registry("rasterizer", [
    Entry("gsplat", "idf_helpers.reconstruction.splats.gsplat_rasterizer:GsplatRasterizer",
          "gsplat's CUDA kernels", 20, lacks_gsplat, license="Apache-2.0"),
    Entry("graphdeco", "idf_helpers.reconstruction.splats.graphdeco_rasterizer:GraphdecoRasterizer",
          "diff-gaussian-rasterization, the CUDA rasterizer of 3DGS as published", 15,
          lacks_graphdeco, license="for research only (Inria)", commercial=False),
    Entry("cpu", "idf_helpers.reconstruction.splats.rasterizer:CpuRasterizer",
          "numba kernels with explicit vectors", 10,
          lacks_modules(numba="numba", cv2="opencv-python-headless", scipy="scipy")),
    Entry("reference", "idf_helpers.reconstruction.splats.torch_rasterizer:ReferenceRasterizer",
          "pure torch, test oracle: for small scenes and pictures only", 0,
          lacks_modules(torch="torch")),
])
