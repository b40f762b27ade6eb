#!/usr/bin/env python
"""Makes the network that finds what stands before a face, from drawn heads of a head pack.

    python assets/face/make_occlusion.py PACK --work WORK [--steps N] [--samples N]

Heads are drawn (`heads.py`), changed as faces differ and as pictures are bad (`bare_faces.py`),
things are drawn before them (`occluders.py`), and the face is laid flat as the program does it; a
small U-shaped network (`occlusion_net.py`) learns which pixels are not the face. No picture of a
person is used. Bases, samples and the network lie in WORK: a stopped run goes on, and a second one
with more steps trains the same network further.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]
import occlusion_net  # noqa: E402
import torch  # noqa: E402
from heads import DrawnHeads  # noqa: E402
from occlusion_samples import drawn_bases, sample_bases, samples  # noqa: E402

from idf_helpers.face.occlusion import NETWORK  # noqa: E402

CHUNK = 1000  # samples in a file


def bases_in(pack: Path, work: Path, count: int):
    path = work / "bases.pkl"
    if not path.is_file():
        bases = drawn_bases(DrawnHeads(pack), count) + sample_bases()
        path.write_bytes(pickle.dumps(bases))
    return pickle.loads(path.read_bytes())


def samples_in(bases, work: Path, count: int):
    out = []
    for k in range(-(-count // CHUNK)):
        path = work / f"samples_{k:02d}.npz"
        if not path.is_file():
            pictures, seen, classes = samples(bases, CHUNK, seed=k)
            np.savez(path, pictures=pictures, seen=seen, classes=classes)
        with np.load(path) as z:
            out.append((z["pictures"], z["seen"], z["classes"]))
    return tuple(np.concatenate(parts) for parts in zip(*out, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--heads", type=int, default=260)
    parser.add_argument("--samples", type=int, default=8000)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=NETWORK)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    arrays = samples_in(bases_in(options.pack, options.work, options.heads), options.work,
                        options.samples)
    kept, net = options.work / "net.pt", None
    if kept.is_file():
        net = occlusion_net.OcclusionNet(occlusion_net.INPUTS)
        net.load_state_dict(torch.load(kept, weights_only=True))
    net = occlusion_net.train(arrays, options.steps, net=net)
    torch.save(net.state_dict(), kept)
    occlusion_net.save(net, options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
