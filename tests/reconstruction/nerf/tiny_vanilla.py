"""A tiny network of nerf-pytorch, and a checkpoint as it leaves one."""

import torch

from idf_helpers.reconstruction.nerf.vanilla.network import Field
from idf_helpers.reconstruction.nerf.vanilla.options import NerfOptions

TINY = NerfOptions(netdepth=3, netwidth=32, netdepth_fine=3, netwidth_fine=32, N_samples=12,
                   N_importance=12, N_rand=128, use_viewdirs=True, white_bkgd=True, multires=4,
                   multires_views=2, no_batching=True, precrop_iters=5, lrate=5e-3,
                   dataset_type="blender", testskip=1)


def upstream_tar(path, options=TINY):
    """What nerf-pytorch's torch.save leaves."""
    field = Field(options)
    optimizer = torch.optim.Adam(field.parameters(), lr=5e-4)
    torch.save({"global_step": 1234, "network_fn_state_dict": field.coarse.state_dict(),
                "network_fine_state_dict": field.fine.state_dict(),
                "optimizer_state_dict": optimizer.state_dict()}, path)
    return field
