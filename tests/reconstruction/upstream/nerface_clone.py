"""A stand-in for a clone of 4D-Facial-Avatars: files and functions of the same names, a model of a
few numbers, and the lines that our changes look for. Nothing of the original is in it."""

FILES = {
    "nerf/__init__.py": "from .load_flame import load_flame_data\nfrom .nerf_helpers import *\n"
                        "from . import models\n",
    "nerf/load_flame.py": "def load_flame_data(*a, **k):\n    raise MemoryError('all frames')\n",
    "nerf/nerf_helpers.py": "import math\nimport pytorch3d.transforms\nimport torch\n"
                            "import torchsearchsorted\n",
    "nerf/train_utils.py": "",
    "nerf/models.py": "def width(include_expression=True):\n"
                      "    return 76 if include_expression else 0\n",
    "nerf/volume_rendering_utils.py": "import torch\n\n\ndef f(sigma_a):\n"
                                      "    sigma_a[:,-1] += 1e-6 # last\n    return sigma_a\n",
    "train_transformed_rays.py": '''
import argparse
import os
import numpy as np
import torch
import torchvision
import yaml
from nerf import load_flame_data, models
from nerf.volume_rendering_utils import f


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--load-checkpoint", default="")
    configargs = parser.parse_args()
    cfg = yaml.safe_load(open(configargs.config))
    images, poses, _, hwf, i_split, expressions, _, bboxs = load_flame_data(
        cfg["dataset"]["basedir"], half_res=cfg["dataset"]["half_res"])
    H, W, focal = hwf
    i_train, i_val, i_test = i_split
    assert images[i_train][0].shape == (H, W, 3) and len(i_val) > 0
    assert models.width() == expressions.shape[1]
    device = "cpu"
    x = torch.nn.Parameter(torch.ones(2, 3))
    f(torch.relu(x)).sum().backward()
    color = torch.zeros(3)
    start = 0
    if os.path.exists(configargs.load_checkpoint):
        checkpoint = torch.load(configargs.load_checkpoint)
        color, start = checkpoint["color"], checkpoint["iter"] + 1
    ray_importance_sampling_maps = []
    for i in i_train:
        ray_importance_sampling_maps.append(np.zeros(H * W))
    logdir = os.path.join(cfg["experiment"]["logdir"], cfg["experiment"]["id"])
    os.makedirs(logdir, exist_ok=True)
    for i in range(start, cfg["experiment"]["train_iters"]):
        index = i_train[i % len(i_train)]
        p = ray_importance_sampling_maps[index]
        assert abs(p.sum() - 1) < 1e-6 and p.shape == (H * W,)
        color = color + 0.2 * (images[index].mean(dim=(0, 1)) - color)
        print("[TRAIN] Iter: " + str(i) + " Loss: 0.1 BG Loss: 0 PSNR: 12.5 LatentReg: 0")
        if os.environ.get("STAND_IN_FAILS") == str(i):
            raise RuntimeError("the stand-in was told to fail")
        if i % cfg["experiment"]["save_every"] == 0 or i == cfg["experiment"]["train_iters"] - 1:
            torch.save({"iter": i, "color": color},
                       os.path.join(logdir, "checkpoint" + str(i).zfill(5) + ".ckpt"))


if __name__ == "__main__":
    import signal

    def handle_pdb(sig, frame):
        pass
    signal.signal(signal.SIGUSR1, handle_pdb)
    main()
''',
    "eval_transformed_rays.py": '''
import argparse
import os
import numpy as np
import torch
import torchvision
import yaml
from nerf import load_flame_data

parser = argparse.ArgumentParser()
parser.add_argument("--config", required=True)
parser.add_argument("--checkpoint", required=True)
parser.add_argument("--savedir", default="")
configargs = parser.parse_args()
device = "cpu"
cfg = yaml.safe_load(open(configargs.config))
images, poses, _, hwf, i_test, expressions, _, _ = load_flame_data(
    cfg["dataset"]["basedir"], half_res=cfg["dataset"]["half_res"], test=True)
idx_map = np.load(cfg["dataset"]["basedir"] + "/index_map.npy").astype(int)
color = torch.load(configargs.checkpoint)["color"]
os.makedirs(configargs.savedir, exist_ok=True)
for i, expression in enumerate(expressions[i_test]):
    if True:
            ablate = 'view_dir'
            if ablate == 'view_dir':
                pose = poses[100]
            code = idx_map[10,1]
            assert code >= 0 and ray_directions_ablation is None
    H, W = hwf[:2]
    picture = color[:, None, None].expand(3, H, W) * (0.5 + 0.5 * expression[0])
    torchvision.transforms.ToPILImage()(picture).save(
        os.path.join(configargs.savedir, f"{i:04d}.png"))
''',
}


def write_clone(root):
    """The stand-in under `root`, laid out as the original; returns root."""
    for name, text in FILES.items():
        path = root / "nerface_code" / "nerf-pytorch" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
