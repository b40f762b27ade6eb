"""What marks cost and what they find: times and sizes of signing and verifying, one changed byte,
and all marks of the demo.

    python benchmarks/marks.py [--demo]

Prints a table. --demo runs `idf demo` with 50 iterations once, and sums the time spent in marks.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np

from idf_helpers.data import media, samples
from idf_helpers.provenance import Mark, credentials, keys, mark, verify, watermark
from tests.fixtures.marked import make

REPEATS = 40
SWAP = Mark("0123456789ab", "face swap (uv)", consent="ab" * 32,
            inputs=(("source photo", "cd" * 32), ("target", "ef" * 32)))


def milliseconds(call, repeats=REPEATS):
    """The least of some calls: what the work takes, not what else the machine does."""
    call()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begun))
    return float(np.min(times))


def picture(path):
    """The bundled photo B at 512 pixels."""
    media.write_image(path, media.resize_area(media.read_image(samples.photo("B"))[..., :3],
                                              512, 512))
    return path


def costs(folder):
    print(f"{'file':<22}{'sign ms':>9}{'check ms':>10}{'bytes':>8}{'changed bytes found':>21}")
    rng = np.random.default_rng(0)
    for name in ("picture.png", "picture.jpg", "clip.mp4", "page.html", "splats.ply",
                 "avatar.npz", "mesh.glb"):
        path = folder / name
        (picture if name.startswith("picture") else make)(path)
        mark(path, SWAP, sign=False)
        plain = path.read_bytes()

        def sign(path=path, plain=plain):
            path.write_bytes(plain)
            beside = credentials.sign(path, path, SWAP)
            if beside:
                path.with_name(path.name + credentials.BESIDE).write_bytes(beside)
            return beside

        signing = milliseconds(sign)
        beside = sign()
        added = path.stat().st_size - len(plain) + len(beside)
        checking = milliseconds(lambda path=path: credentials.read(path))
        data, found = path.read_bytes(), 0
        for at in rng.choice(len(data), 100, replace=False):
            changed = bytearray(data)
            changed[at] ^= 1 << rng.integers(8)
            path.write_bytes(changed)
            told = credentials.read(path)
            found += told is None or told.state == "invalid"
        path.write_bytes(data)
        print(f"{name:<22}{signing:>9.1f}{checking:>10.1f}{added:>8}{found:>14} of 100")
    path = picture(folder / "all.png")
    mark(path, SWAP)
    rgb = media.read_image(path)[..., :3]
    print(f"\n512 x 512 picture: metadata {milliseconds(lambda: mark(path, SWAP, sign=False)):.1f} "
          f"ms, watermark {milliseconds(lambda: watermark.embed(rgb, SWAP.payload), 10):.1f} ms, "
          f"idf.verify {milliseconds(lambda: verify(path), 10):.1f} ms")


def demo(folder):
    """Run the demo once, and add up what its marks take."""
    from idf_helpers.cli.demo import demo as run
    from idf_helpers.provenance import marks
    from idf_helpers.reconstruction.config import TrainingConfig

    spent: dict[str, list[np.ndarray]] = {}

    def timed(owner, name):
        inner = getattr(owner, name)

        def outer(*arguments, **named):
            begun, cpu = time.perf_counter(), time.process_time()
            try:
                return inner(*arguments, **named)
            finally:
                spent.setdefault(name, []).append(np.array(
                    [time.perf_counter() - begun, time.process_time() - cpu]))

        setattr(owner, name, outer)

    timed(marks, "_put")
    timed(marks, "marked_bytes")
    timed(Mark, "watermarked")
    run(folder / "demo", amount=TrainingConfig(iterations=50))
    print("\nmarks of the demo:" + " " * 30 + "wall s   CPU s")
    for name, what in (("_put", "metadata and signatures of exports"),
                       ("marked_bytes", "metadata of pictures"), ("watermarked", "watermarks")):
        wall, cpu = np.sum(spent[name], axis=0)
        print(f"  {what:<36}{len(spent[name]):>4} times{wall:>8.2f}{cpu:>8.2f}")
    wall, cpu = sum(np.sum(times, axis=0) for times in spent.values())
    print(f"  {'in all':<46}{wall:>8.2f}{cpu:>8.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["IDF_KEYS"] = str(Path(temporary) / "keys")
        keys.signer()
        costs(Path(temporary))
        if arguments.demo:
            demo(Path(temporary))
