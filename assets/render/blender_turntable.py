"""Render a turn around a 3D model with Blender: a dataset for `idf loop` and all other commands.

    blender -b -P blender_turntable.py -- MODEL --out FOLDER [--views 48] [--size 512] …
    python blender_turntable.py MODEL --out FOLDER …             with the package `bpy`

MODEL is a .blend, .glb, .gltf or .obj. FOLDER gets train/r_0.png … (RGBA, transparent behind the
model) and transforms.json; with --paper the names of the paper's scripts, train_main/ and
transforms_train_main.json. The camera circles the model once, the first view is its front (-y in
Blender), counterclockwise seen from above. A view that is there is not rendered again, so a stopped
run goes on; the JSON follows the last view. Poses are written with the model at the origin and the
camera at distance 4, whatever the model's unit is.

This file runs inside Blender's own Python: it uses nothing but what that has (the standard library,
`bpy`, numpy), and imports nothing of this package.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
from pathlib import Path

MODELS = (".blend", ".glb", ".gltf", ".obj")
DISTANCE = 4.0  # of the cameras from the origin, as written
MARGIN = 1.06  # farther away than where the model just fits into every view
RECORD = "turntable.json"
COLORS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0), "gray": (0.5, 0.5, 0.5)}
# Lights where the model brings none; fixed to the model, so that every view sees it lit the same:
# direction they come from, angle of the sun's disc in degrees, strength in watts a square meter.
SUNS = {"key": ((0.6, -0.9, 0.7), 20, 1.5), "fill": ((-0.9, -0.6, 0.2), 60, 0.5),
        "back": ((0.1, 1.0, 0.6), 40, 0.8)}
AMBIENT = 0.35


class Refused(Exception):
    """What could not be done, what was found, what to do."""

    def __init__(self, what: str, found: str = "", do: str = ""):
        lines = [what] + [f"  found: {found}"] * bool(found) + [f"  do:    {do}"] * bool(do)
        super().__init__("\n".join(lines))


def arguments(argv: list[str]) -> argparse.Namespace:
    """Return the parsed arguments; Refused for a value out of range."""
    p = argparse.ArgumentParser(prog="blender_turntable.py", description=__doc__.splitlines()[0])
    p.add_argument("model", type=Path, help=".blend, .glb, .gltf or .obj")
    p.add_argument("--out", type=Path, required=True, help="folder of the dataset")
    p.add_argument("--views", type=int, default=48, help="pictures of the turn (default 48)")
    p.add_argument("--size", type=int, default=512, help="pixels of the square pictures (512)")
    p.add_argument("--elevation", type=float, default=6.0, help="of the camera, degrees (6)")
    p.add_argument("--start", type=float, default=0.0, help="first view, degrees off the front")
    p.add_argument("--fov", type=float, default=29.0, help="field of view, degrees (29)")
    p.add_argument("--samples", type=int, default=32, help="of Cycles a pixel (32)")
    p.add_argument("--seed", type=int, default=0, help="of the sampler (0)")
    p.add_argument("--engine", choices=("cycles", "eevee"), default="cycles",
                   help="eevee needs a GPU and is quicker (default cycles)")
    p.add_argument("--gpu", action="store_true",
                   help="Cycles on the GPU that Blender's preferences name")
    p.add_argument("--background", default="transparent",
                   help="transparent (default), white, gray, black, or R,G,B of 0 to 1")
    p.add_argument("--object", action="append", default=[], metavar="NAME",
                   help="show and frame only this object and what hangs on it; may be repeated")
    p.add_argument("--lights", choices=("auto", "own", "ours"), default="auto",
                   help="the model's own, ours, or ours where it has none (auto)")
    p.add_argument("--paper", action="store_true",
                   help="write train_main/ and transforms_train_main.json")
    a = p.parse_args(argv)
    for name, low, high in (("views", 1, 10_000), ("size", 16, 8192), ("elevation", -85, 85),
                            ("fov", 1, 120), ("samples", 1, 100_000), ("seed", 0, 2**31 - 1),
                            ("start", -360, 360)):
        if not low <= getattr(a, name) <= high:
            raise Refused(f"--{name} is out of range", str(getattr(a, name)),
                          f"give a value from {low} to {high}")
    if a.model.suffix.lower() not in MODELS:
        raise Refused(f"{a.model} is no model that can be opened", a.model.suffix or "no suffix",
                      f"give one of: {', '.join(MODELS)}")
    if not a.model.is_file():
        raise Refused(f"The model {a.model} does not exist", "no such file",
                      "check the path for typing errors")
    a.color = _color(a.background)
    return a


def _color(text: str) -> tuple[float, float, float] | None:
    """Return the color behind, composited as written; None = alpha."""
    if text == "transparent":
        return None
    if text in COLORS:
        return COLORS[text]
    try:
        rgb = tuple(float(x) for x in text.split(","))
    except ValueError:
        rgb = ()
    if len(rgb) != 3 or not all(0 <= x <= 1 for x in rgb):
        raise Refused("This background is unknown", text,
                      "use transparent, white, gray, black, or three numbers such as 0.2,0.4,0.8")
    return rgb


# ---- geometry, without Blender -------------------------------------------------------------------

def ring(views: int, elevation: float, start: float) -> list[list[list[float]]]:
    """Return camera-to-world matrices (4x4, OpenGL axes, z up), facing the origin at DISTANCE.

    View k is turned by start + 360 k / views degrees from the front, counterclockwise seen from
    above.
    elevation, start: degrees.
    """
    matrices = []
    for k in range(views):
        a, e = math.radians(start) + 2 * math.pi * k / views, math.radians(elevation)
        back = (math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e))
        right = (math.cos(a), math.sin(a), 0.0)
        up = (-math.sin(a) * math.sin(e), math.cos(a) * math.sin(e), math.cos(e))
        rows = [[right[i], up[i], back[i], DISTANCE * back[i]] for i in range(3)]
        matrices.append([*rows, [0.0, 0.0, 0.0, 1.0]])
    return matrices


def framing(points, fov: float, elevation: float) -> tuple[tuple[float, ...], float]:
    """Return (middle of the points' box, distance from which a turn around it shows all of them).

    points: (N, 3) array. A point at radius r from the vertical axis through the middle is farthest
    out where its ray is tangent to its circle: distance r / sin(fov / 2). Up and down the bound is
    that of its height z on the near side of the circle.
    """
    import numpy as np

    low, high = points.min(0), points.max(0)
    center = (low + high) / 2
    r, z = np.hypot(*(points - center)[:, :2].T), np.abs(points[:, 2] - center[2])
    half, e = math.radians(fov) / 2, math.radians(abs(elevation))
    tall = (z * math.cos(e) + r * math.sin(e)) / math.tan(half) + r * math.cos(e) + z * math.sin(e)
    return tuple(map(float, center)), MARGIN * float(max((r / math.sin(half)).max(), tall.max()))


def placed(matrix, center, unit: float) -> list[list[float]]:
    """Return a matrix of `ring` in the model's own coordinates: 1 there is `unit` of these."""
    rows = [[*row[:3], row[3] * unit + center[i]] for i, row in enumerate(matrix[:3])]
    return [*rows, [0.0, 0.0, 0.0, 1.0]]


# ---- files ---------------------------------------------------------------------------------------

def record_of(a: argparse.Namespace) -> dict:
    """Return what decides the pictures: the settings and the model's content."""
    digest = hashlib.sha256()
    with open(a.model, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    settings = {k: v for k, v in vars(a).items() if k not in ("model", "out", "gpu", "color")}
    return {"model": a.model.name, "sha256": digest.hexdigest(), **settings}


def write_json(path: Path, value) -> None:
    part = path.with_name(f".{path.stem}.{os.getpid()}.part.json")
    part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def check_folder(out: Path, record: dict) -> None:
    """Raise Refused where the folder holds the pictures of another model, of other settings, or
    anything else. Nothing is written."""
    file = out / RECORD
    try:
        before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        others = [] if before is not None or not out.exists() else sorted(
            p.name for p in out.iterdir())
    except (OSError, ValueError) as error:
        raise Refused(f"The folder {out} cannot be used", str(error)[:200],
                      "choose another --out") from None
    if others:
        raise Refused(f"The folder {out} holds something else", ", ".join(others[:4]),
                      "choose an empty --out")
    if before is not None and before != record:
        changed = [k for k in record if before.get(k) != record[k]] if isinstance(before, dict) \
            else ["everything"]
        raise Refused(f"The folder {out} holds a turn with other settings",
                      f"another {', '.join(changed)}", "choose another --out, or delete it")


# ---- Blender -------------------------------------------------------------------------------------

def open_model(bpy, path: Path) -> None:
    """Open the model as the scene. A .blend's own scripts are not run."""
    kind = path.suffix.lower()
    try:
        if kind == ".blend":
            bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False, use_scripts=False)
        else:
            bpy.ops.wm.read_factory_settings(use_empty=True)
            if kind == ".obj":
                bpy.ops.wm.obj_import(filepath=str(path))
            else:
                bpy.ops.import_scene.gltf(filepath=str(path))
    except (RuntimeError, AttributeError) as error:
        raise Refused(f"Blender cannot open {path}", str(error).strip().split("\n")[0][:300],
                      "open it in Blender's window to see why; Blender 4.0 or newer is needed"
                      ) from None


def shown_objects(bpy, names: list[str]) -> list:
    """Return the objects of the scene that a render shows and that have a surface; with names only
    those and their children, the others hidden (lights stay)."""
    scene = bpy.context.scene
    surfaces = [o for o in scene.objects
                if o.type in ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES")]
    lacking = [n for n in names if n not in [o.name for o in scene.objects]]
    if lacking:
        raise Refused("The model has no such object", ", ".join(lacking),
                      "there are: " + ", ".join(o.name for o in scene.objects)[:500])
    if names:
        for o in surfaces:
            o.hide_render = o.hide_render or not _belongs(o, names)
    shown = [o for o in surfaces if not o.hide_render]
    if not shown:
        raise Refused("There is nothing to see in the model",
                      f"{len(surfaces)} objects with a surface, none of them shown in renders",
                      "switch their camera symbol on in Blender's outliner")
    return shown


def _belongs(o, names) -> bool:
    while o is not None:
        if o.name in names:
            return True
        o = o.parent
    return False


def surface_points(bpy, objects):
    """Return (N, 3) vertices of the objects in the world, modifiers applied; the corners of its
    box for what has none (curves of hair)."""
    import numpy as np

    graph, found = bpy.context.evaluated_depsgraph_get(), []
    for o in objects:
        evaluated = o.evaluated_get(graph)
        try:
            mesh = evaluated.to_mesh()
        except RuntimeError:
            mesh = None
        if mesh is not None and len(mesh.vertices):
            flat = np.empty(3 * len(mesh.vertices), np.float32)
            mesh.vertices.foreach_get("co", flat)
            points = flat.reshape(-1, 3)
        else:
            points = np.array([tuple(c) for c in evaluated.bound_box], np.float32)
        if mesh is not None:
            evaluated.to_mesh_clear()
        m = np.array([tuple(row) for row in evaluated.matrix_world], np.float64)
        found.append(points @ m[:3, :3].T + m[:3, 3])
    return np.concatenate(found)


def light(bpy, choice: str) -> None:
    """Put in our lights where they are asked for, or where the model has neither a lamp nor a lit
    world."""
    scene = bpy.context.scene
    lamps = [o for o in scene.objects if o.type == "LIGHT" and not o.hide_render]
    if choice == "own" or (choice == "auto" and (lamps or _shines(scene.world))):
        return
    for o in lamps:
        o.hide_render = True
    scene.world = world = bpy.data.worlds.new("turntable")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (1, 1, 1, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = AMBIENT
    for name, (toward, angle, strength) in SUNS.items():
        data = bpy.data.lights.new(f"turntable {name}", "SUN")
        data.angle, data.energy = math.radians(angle), strength
        o = bpy.data.objects.new(f"turntable {name}", data)
        o.matrix_world = _matrix(bpy, _aimed(toward))
        scene.collection.objects.link(o)


def _shines(world) -> bool:
    """Return whether a world lights a model well: Blender's own gray (0.05) does not."""
    if world is None:
        return False
    node = world.node_tree.nodes.get("Background") if world.use_nodes and world.node_tree else None
    if node is None:
        return max(world.color) >= 0.2
    color, strength = node.inputs[0], node.inputs[1]
    return color.is_linked or max(color.default_value[:3]) * strength.default_value >= 0.2


def _aimed(toward) -> list[list[float]]:
    """Return a rotation whose +z points along `toward`: a lamp, as a camera, looks along its -z."""
    x, y, z = toward
    turned, raised = math.degrees(math.atan2(x, -y)), math.degrees(math.atan2(z, math.hypot(x, y)))
    return placed(ring(1, raised, turned)[0], (0.0, 0.0, 0.0), 0.0)


def _matrix(bpy, rows):
    from mathutils import Matrix  # comes with bpy, and only after it

    return Matrix(rows)


def set_render(bpy, a: argparse.Namespace, imported: bool) -> None:
    scene, r = bpy.context.scene, bpy.context.scene.render
    if a.engine == "eevee":
        for name in ("BLENDER_EEVEE_NEXT", "BLENDER_EEVEE"):  # 4.2 to 4.5; before and after
            try:
                r.engine = name
                break
            except TypeError:
                continue
        scene.eevee.taa_render_samples = a.samples
    else:
        r.engine = "CYCLES"
        scene.cycles.samples, scene.cycles.seed = a.samples, a.seed
        scene.cycles.device = "GPU" if a.gpu else "CPU"
        scene.cycles.use_denoising = True
    r.resolution_x = r.resolution_y = a.size
    r.resolution_percentage = 100
    r.pixel_aspect_x = r.pixel_aspect_y = 1.0
    r.film_transparent = True  # a color is put behind afterwards, so that it is exactly that
    r.use_persistent_data = True
    r.use_border = r.use_compositing = r.use_sequencer = False
    r.image_settings.file_format = "PNG"
    r.image_settings.color_mode, r.image_settings.color_depth = "RGBA", "8"
    if imported:  # a .blend keeps the look that its maker chose
        scene.view_settings.view_transform = "Standard"


def add_camera(bpy, fov: float, unit: float):
    data = bpy.data.cameras.new("turntable")
    data.sensor_fit, data.angle = "HORIZONTAL", math.radians(fov)
    data.clip_start, data.clip_end = 0.01 * DISTANCE * unit, 10 * DISTANCE * unit
    o = bpy.data.objects.new("turntable", data)
    bpy.context.scene.collection.objects.link(o)
    bpy.context.scene.camera = o
    return o


def put_behind(bpy, file: Path, color) -> None:
    """Put the color behind the transparent picture in `file`, whose alpha then is 1."""
    import numpy as np

    image = bpy.data.images.load(str(file))
    try:
        pixels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(pixels)  # of an 8-bit file: values as in it, alpha straight
        rgba = pixels.reshape(-1, 4)
        alpha = rgba[:, 3:].copy()
        rgba[:, :3] = rgba[:, :3] * alpha + np.float32(color) * (1 - alpha)
        rgba[:, 3] = 1
        image.pixels.foreach_set(pixels)
        image.filepath_raw, image.file_format = str(file), "PNG"
        image.save()
    finally:
        bpy.data.images.remove(image)


def turn(bpy, a: argparse.Namespace, note=print) -> Path:
    """Render what is missing; the folder of the dataset. Refused for all that a user can change."""
    record = record_of(a)
    check_folder(a.out, record)
    split, name = ("train_main", "transforms_train_main.json") if a.paper else \
        ("train", "transforms.json")
    matrices = ring(a.views, a.elevation, a.start)
    files = [a.out / split / f"r_{k}.png" for k in range(a.views)]
    missing = [k for k, f in enumerate(files) if not f.is_file()]
    if missing:
        open_model(bpy, a.model.resolve())
        points = surface_points(bpy, shown_objects(bpy, a.object))
        center, distance = framing(points, a.fov, a.elevation)
        if not 0 < distance < math.inf:
            raise Refused("The model has no size", f"{len(points)} points, all in one place",
                          "look at it in Blender")
        unit = distance / DISTANCE
        light(bpy, a.lights)
        set_render(bpy, a, imported=a.model.suffix.lower() != ".blend")
        camera = add_camera(bpy, a.fov, unit)
        try:
            (a.out / split).mkdir(parents=True, exist_ok=True)
            write_json(a.out / RECORD, record)
        except OSError as error:
            raise Refused(f"The folder {a.out} cannot be written", str(error)[:200],
                          "choose another --out") from None
        for done, k in enumerate(missing):
            camera.matrix_world = _matrix(bpy, placed(matrices[k], center, unit))
            part = files[k].with_name(f".r_{k}.{os.getpid()}.part.png")
            bpy.context.scene.render.filepath = str(part)
            try:
                bpy.ops.render.render(write_still=True)
                if not part.is_file() or part.stat().st_size == 0:
                    raise RuntimeError("no picture was written")
                if a.color is not None:
                    put_behind(bpy, part, a.color)
                os.replace(part, files[k])
            except (RuntimeError, OSError) as error:
                raise Refused(f"View {k} could not be rendered", str(error).strip()[:300],
                              "check the free disk space; the same command goes on") from None
            finally:
                part.unlink(missing_ok=True)
            note(f"view {k}: {done + 1} of {len(missing)}", flush=True)
    write_json(a.out / name, {
        "camera_angle_x": math.radians(a.fov), "w": a.size, "h": a.size,
        "frames": [{"file_path": f"./{split}/r_{k}", "transform_matrix": m}
                   for k, m in enumerate(matrices)]})
    note(f"{a.views} views in {a.out}" + ("" if missing else " (they were all there)"))
    return a.out


def own_arguments(argv: list[str]) -> list[str]:
    """Return those behind Blender's `--`; all of them where the file runs by itself."""
    if "--" in argv:
        return argv[argv.index("--") + 1:]
    return argv[1:] if argv and argv[0].endswith(Path(__file__).name) else []


def main(argv: list[str]) -> int:
    try:
        a = arguments(argv)
        try:
            import bpy
        except ImportError:
            raise Refused("This runs in Blender, or in a Python with the package bpy", "neither",
                          f"blender -b -P {Path(__file__).name} -- MODEL --out FOLDER") from None
        turn(bpy, a)
    except Refused as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(own_arguments(sys.argv)))
