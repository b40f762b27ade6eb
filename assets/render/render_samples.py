"""Render the bundled sample heads again, or new ones, from a head pack. Run with Blender's `bpy`.

    python assets/render/render_samples.py --pack PACK --out OUT --set head_multiview

A picture that is there is not rendered again, so that a stopped run goes on where it was; the
transforms JSON is written once all pictures of its own are there. README.md: how to install.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import ideal_shots  # noqa: E402
import numpy as np  # noqa: E402
import pictures  # noqa: E402
import shots  # noqa: E402
from ideal import IdealPack, split  # noqa: E402
from pack import HeadPack, to_world  # noqa: E402

from idf_helpers.data.cameras import Camera  # noqa: E402
from idf_helpers.data.media import read_image  # noqa: E402
from idf_helpers.errors import IdfError  # noqa: E402
from idf_helpers.runtime.files import atomic_write, read_json, write_json  # noqa: E402

SURFACE_POINTS = 3000
SETTINGS = "render.json"
IDEAL = "ideal"
IDEAL_SIZE = 320


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--pack", type=Path, required=True, help="folder of the head pack")
    p.add_argument("--out", type=Path, required=True, help="the set is written to OUT/<set>")
    p.add_argument("--set", dest="name", choices=[*shots.SETS, IDEAL], required=True)
    p.add_argument("--size", type=int, help="pixels of the square pictures (default: the set's)")
    p.add_argument("--spp", type=int, default=32, help="samples a pixel (default 32)")
    p.add_argument("--only", nargs="+", default=[], metavar="PATTERN",
                   help="only these pictures, such as 'test/*' or train/r_80.png")
    p.add_argument("--poses", type=Path, help="folder with the transforms to render again "
                   "(default: the bundled set)")
    p.add_argument("--seed", type=int, help="draw new cameras and expressions instead")
    a = p.parse_args(argv)
    a.size = a.size or shots.SETS.get(a.name, IDEAL_SIZE)
    if a.poses is None:
        a.poses = HERE.parent / "samples" / a.name
    if a.size < 16 or a.spp < 1:
        raise IdfError("These settings cannot be rendered", f"--size {a.size} --spp {a.spp}",
                       "use a size of at least 16 pixels and at least 1 sample a pixel")
    return a


def background(a: argparse.Namespace, folder: Path):
    """None (keep alpha), a color, or the room's picture, which is put into the set."""
    if a.name == "source_photos":
        return shots.GRAY
    if a.name != "head_talking":
        return None
    path = folder / "bg" / "00050.png"
    if not path.exists():
        given = a.poses / "bg" / "00050.png"
        picture = read_image(given)[..., :3] if given.is_file() else None
        if picture is None or picture.shape[:2] != (a.size, a.size):
            picture = pictures.room(a.size)
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures.save(path, picture)
    return read_image(path)[..., :3]


def check_settings(a: argparse.Namespace, folder: Path) -> None:
    """One folder holds pictures of one kind: same size, samples and seed in every run."""
    mine = {"set": a.name, "size": a.size, "spp": a.spp, "seed": a.seed}
    path = folder / SETTINGS
    if path.exists():
        theirs = read_json(path)
        if theirs != mine:
            raise IdfError(f"{folder} was begun with other settings",
                           f"{theirs}, asked for {mine}", "give another --out, or delete it")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, mine)


def ground_truth(pack: HeadPack, seed: int = 0) -> dict[str, np.ndarray]:
    """Of head A at rest, in the set's world: landmarks68 (68, 3), surface_points and
    surface_normals (3000, 3) on the face, float32; points spread evenly by area. Lips, nostrils
    and eyelids fold inwards: what faces backwards there is left out."""
    v = to_world(pack.vertices("A"))
    part = pack.part("skin")
    quads = part.face_flat[(np.cumsum(part.face_len.astype(int)) - part.face_len)[:, None]
                           + np.array([0, 1, 2])]
    # The face: no hair on it, in front of the ears, above the neck, facing forwards (-y).
    tri = part.vertex_ids[quads]
    marks = pack.landmarks(v)
    center = v[tri].mean(1)
    hairless = pack.mask("scalp_A")[tri].max(1) < 0.05
    forward = np.cross(v[tri[:, 1]] - v[tri[:, 0]], v[tri[:, 2]] - v[tri[:, 0]])[:, 1] < 0
    tri = tri[hairless & forward & (center[:, 1] < marks[[0, 16], 1].min())
              & (center[:, 2] > marks[8, 2] - 0.03)]
    a, b, c = v[tri[:, 0]], v[tri[:, 1]], v[tri[:, 2]]
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1)
    rng = np.random.default_rng(seed)
    pick = rng.choice(len(tri), SURFACE_POINTS, p=area / area.sum())
    s, t = np.sqrt(rng.random(SURFACE_POINTS)), rng.random(SURFACE_POINTS)
    w = np.stack([1 - s, s * (1 - t), s * t], axis=1)  # uniform in a triangle
    points = np.einsum("nk,nkc->nc", w, np.stack([a, b, c], axis=1)[pick])
    out = {"landmarks68": marks, "surface_points": points,
           "surface_normals": normal[pick] / area[pick, None]}
    return {k: x.astype(np.float32) for k, x in out.items()}


def face_mask(pack: IdealPack, shot: shots.Shot, size: int) -> np.ndarray:
    """(size, size) uint8: where an ideal swap shows the other's face."""
    c2w = shots.to_set(shot.c2w, ideal_shots.DISTANCE)
    camera = Camera.from_fov(c2w, ideal_shots.FOV_X, size, size)
    mask = pack.face_mask(shot.identity, shot.weights, camera, ideal_shots.DISTANCE)
    return np.round(255 * mask).astype(np.uint8)


def wanted(shot: shots.Shot, patterns: list[str]) -> bool:
    return not patterns or any(fnmatch.fnmatch(shot.file, p) for p in patterns)


def render(a: argparse.Namespace) -> None:
    pack = IdealPack(a.pack)
    if a.name == IDEAL:
        plan = ideal_shots.ideal_plan()
    else:
        plan = shots.plan(a.name, pack, a.size, a.poses, a.seed)
    fov_x = ideal_shots.FOV_X if a.name == IDEAL else shots.FOV_X
    folder = a.out / a.name
    check_settings(a, folder)
    behind = background(a, folder)
    todo = [s for s in plan.shots if wanted(s, a.only) and not (folder / s.file).exists()]
    print(f"{a.name}: {len(todo)} of {len(plan.shots)} pictures to render", flush=True)
    if todo:
        from scene import Quality, Studio  # only now: Blender is not needed for what is done
    studio = None
    for k, shot in enumerate(sorted(todo, key=lambda s: s.identity)):
        if studio is None or studio.identity != shot.identity:
            studio = Studio(pack, shot.identity, Quality(a.size, a.spp, fov_x=fov_x))
        start = time.time()
        target = folder / shot.file
        target.parent.mkdir(parents=True, exist_ok=True)
        raw = target.with_name(target.stem + ".raw.png")
        studio.pose(shot.weights)
        studio.wear(shot.worn)
        studio.shoot(raw, shot.c2w, shot.room)
        rgba = read_image(raw)
        if a.name == IDEAL:
            behind = pictures.room(a.size) if shot.file.startswith("photos/") else None
            face, head = split(shot.identity)
            if face != head:
                pictures.save(target.with_suffix(".mask.png"), face_mask(pack, shot, a.size))
        pictures.save(target, rgba if behind is None else pictures.over(rgba, behind))
        raw.unlink()
        print(f"{k + 1}/{len(todo)} {shot.file} {time.time() - start:.1f} s", flush=True)
    missing = [s.file for s in plan.shots if not (folder / s.file).exists()]
    for name, (header, of_split) in plan.tables.items():
        if not any(s.file in missing for s in of_split):
            write_json(folder / name, header | {"frames": [s.entry for s in of_split]})
    if missing:
        print(f"{len(missing)} pictures still to come; JSON is written with a table's last one")
        return
    if a.name == "head_multiview":
        with atomic_write(folder / "ground_truth.npz") as part, open(part, "wb") as f:
            np.savez_compressed(f, **ground_truth(pack))


if __name__ == "__main__":
    try:
        render(arguments())
    except IdfError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
