"""Makes golden.npz: inputs and outputs of nerf-pytorch's own network, encoding, compositing and
sampling, for `test_vanilla.py`.

    python tests/reconstruction/nerf/golden.py CLONE_OF_NERF_PYTORCH

Weights are not stored: they come from `weights`, the same small rule there and here.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FILE = HERE / "golden.npz"
DEPTH, WIDTH, MULTIRES, MULTIRES_VIEWS = 8, 32, 10, 4


def weights(shapes: dict) -> dict:
    """name -> float32 array, a fixed function of its place; sines are the same everywhere."""
    out = {}
    for k, (name, shape) in enumerate(sorted(shapes.items())):
        n = int(np.prod(shape))
        spread = 1.2 / np.sqrt(shape[-1]) if len(shape) > 1 else 0.1
        out[name] = (np.sin(np.arange(n) * 12.9898 + k * 78.233) * spread).reshape(shape).astype(
            np.float32)
    return out


def inputs(rays: int = 6, samples: int = 5):
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (rays, samples, 3)).astype(np.float32)
    directions = rng.normal(size=(rays, 3)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    z = np.sort(rng.uniform(2, 6, (rays, samples)), axis=1).astype(np.float32)
    return points, directions, z


def main(clone: str) -> None:
    import torch

    sys.path.insert(0, clone)
    source = Path(clone, "run_nerf.py").read_text()
    helpers = {}
    exec(Path(clone, "run_nerf_helpers.py").read_text(), helpers)
    # of run_nerf.py one function alone: its imports want packages for other datasets
    start = source.index("def raw2outputs")
    exec(source[start:source.index("\ndef render_rays")], helpers)
    points, directions, z = (torch.tensor(a) for a in inputs())
    out = {}
    for views in (True, False):
        embed, channels = helpers["get_embedder"](MULTIRES, 0)
        embed_views, channels_views = helpers["get_embedder"](MULTIRES_VIEWS, 0)
        network = helpers["NeRF"](D=DEPTH, W=WIDTH, input_ch=channels, output_ch=5, skips=[4],
                                  input_ch_views=channels_views if views else 0,
                                  use_viewdirs=views)
        made = weights({k: tuple(v.shape) for k, v in network.state_dict().items()})
        network.load_state_dict({k: torch.tensor(v) for k, v in made.items()})
        x = embed(points.reshape(-1, 3))
        if views:
            spread = directions[:, None].expand(points.shape).reshape(-1, 3)
            x = torch.cat([x, embed_views(spread)], -1)
        with torch.no_grad():
            raw = network(x).reshape(*points.shape[:2], -1)
        out[f"raw_{int(views)}"] = raw.numpy()
        out[f"keys_{int(views)}"] = np.array(sorted(made))
        scaled = raw[..., :4] * 5
        for white in (True, False):
            names = ("rgb", "disp", "acc", "weights", "depth")
            for name, value in zip(names, helpers["raw2outputs"](
                    scaled, z, 2 * directions, 0, white), strict=True):
                out[f"{name}_{int(views)}{int(white)}"] = value.numpy()
        found = helpers["sample_pdf"](0.5 * (z[:, 1:] + z[:, :-1]),
                                      torch.tensor(out[f"weights_{int(views)}0"])[:, 1:-1], 7,
                                      det=True)
        out[f"samples_{int(views)}"] = found.numpy()
    np.savez_compressed(FILE, **out)
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
