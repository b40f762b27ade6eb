"""As much of Blender's `bpy` as a turntable needs: a scene of boxes, and a renderer that draws one
square and remembers its camera. Settings that Blender does not have are mistakes here too."""

from __future__ import annotations

import sys
import types

import numpy as np

from idf_helpers.data import media


class Matrix(list):
    """Rows of numbers, as mathutils.Matrix is indexed."""

    def __init__(self, rows):
        super().__init__([tuple(map(float, r)) for r in rows])
        assert len(self) == 4 and all(len(r) == 4 for r in self)


IDENTITY = Matrix(np.eye(4).tolist())


class Mesh:
    def __init__(self, points):
        self.points = np.asarray(points, np.float32)
        self.vertices = self

    def __len__(self):
        return len(self.points)

    def foreach_get(self, name, flat):
        assert name == "co"
        flat[:] = self.points.reshape(-1)


class Thing:
    """An object of the scene. points: of its mesh, in its own coordinates."""

    def __init__(self, name, kind="MESH", points=(), at=(0, 0, 0), parent=None):
        self.name, self.type, self.points, self.parent = name, kind, points, parent
        self.hide_render, self.matrix_world = False, Matrix(
            [[1, 0, 0, at[0]], [0, 1, 0, at[1]], [0, 0, 1, at[2]], [0, 0, 0, 1]])
        low, high = np.min(points, 0) if len(points) else [-1] * 3, \
            np.max(points, 0) if len(points) else [1] * 3
        self.bound_box = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1])
                          for z in (low[2], high[2])]

    def evaluated_get(self, graph):
        return self

    def to_mesh(self):
        if self.type != "MESH":
            raise RuntimeError("Object does not have geometry data")
        return Mesh(self.points)

    def to_mesh_clear(self):
        pass


class Settings(types.SimpleNamespace):
    """Attributes that are set; an unknown one is a mistake."""

    def __init__(self, *names, **values):
        super().__init__(**dict.fromkeys(names), **values)

    def __setattr__(self, name, value):
        if self.__dict__ and name not in self.__dict__:
            raise AttributeError(name)
        self.__dict__[name] = value


class Render(Settings):
    """Takes the engines of one version of Blender alone."""

    engines = ("CYCLES", "BLENDER_EEVEE_NEXT", "BLENDER_WORKBENCH")

    def __setattr__(self, name, value):
        if name == "engine" and value not in (*self.engines, None):
            raise TypeError(f'enum "{value}" not found')
        super().__setattr__(name, value)


def box(size=2.0):
    return [(x, y, z) for x in (-size / 2, size / 2) for y in (-size / 2, size / 2)
            for z in (-size / 2, size / 2)]


class FakeBlender:
    """`bpy` by name, and what was done with it.

    things: what every opened model holds. fails_at: number of the render call that fails.
    world: the opened scene's own.
    """

    def __init__(self, things=None, fails_at=None, world=None):
        self.opened, self.rendered, self.fails_at = [], [], fails_at
        self.make = things or (lambda: [Thing("Head", points=box(), at=(10, 20, 30))])
        self.world = world
        self.bpy = types.ModuleType("bpy")
        wm = types.SimpleNamespace(open_mainfile=self._blend, read_factory_settings=self._empty,
                                   obj_import=self._load)
        self.bpy.ops = types.SimpleNamespace(
            wm=wm, import_scene=types.SimpleNamespace(gltf=self._load),
            render=types.SimpleNamespace(render=self._render))
        self.bpy.context = types.SimpleNamespace(evaluated_depsgraph_get=lambda: None)
        self.images = {}
        self.bpy.data = types.SimpleNamespace(
            cameras=_Maker(lambda name: Settings("sensor_fit", "angle", "clip_start", "clip_end")),
            lights=_Maker(lambda name, kind: Settings("angle", "energy")),
            worlds=_Maker(lambda name: world_of(0.0)),
            objects=_Maker(lambda name, data: Thing(name, "CAMERA" if hasattr(
                data, "sensor_fit") else "LIGHT")),
            images=types.SimpleNamespace(load=Image, remove=lambda image: None))

    def install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "bpy", self.bpy)
        monkeypatch.setitem(sys.modules, "mathutils", types.SimpleNamespace(Matrix=Matrix))
        return self

    @property
    def scene(self):
        return self.bpy.context.scene

    def _new_scene(self, things, world):
        things = list(things)
        self.bpy.context.scene = types.SimpleNamespace(
            objects=things, world=world, camera=None,
            collection=types.SimpleNamespace(objects=types.SimpleNamespace(link=things.append)),
            cycles=Settings("samples", "seed", "device", "use_denoising"),
            eevee=Settings("taa_render_samples"),
            view_settings=Settings(view_transform="AgX"),
            render=Render("resolution_x", "resolution_y", "resolution_percentage", "filepath",
                          "pixel_aspect_x", "pixel_aspect_y", "film_transparent", "engine",
                          "use_persistent_data", "use_border", "use_compositing", "use_sequencer",
                          image_settings=Settings("file_format", "color_mode", "color_depth")))

    def _blend(self, filepath, load_ui, use_scripts):
        assert use_scripts is False and load_ui is False
        self.opened.append(filepath)
        self._new_scene(self.make(), self.world)

    def _empty(self, use_empty):
        self._new_scene([], None)

    def _load(self, filepath):
        if "broken" in filepath:
            raise RuntimeError("Error: cannot read\nmore")
        self.opened.append(filepath)
        self.scene.objects.extend(self.make())

    def _render(self, write_still):
        assert write_still
        if len(self.rendered) == self.fails_at:
            self.fails_at = None
            raise RuntimeError("Error: out of memory")
        r, camera = self.scene.render, self.scene.camera
        picture = np.zeros((r.resolution_y, r.resolution_x, 4), np.uint8)
        picture[4:-4, 4:-4] = (200, 100, 50, 255)
        self.rendered.append(camera.matrix_world)
        media.write_image(r.filepath, picture)


class _Maker:
    def __init__(self, make):
        self.new = lambda *arguments: make(*arguments)


def world_of(strength):
    node = types.SimpleNamespace(inputs=[
        types.SimpleNamespace(default_value=(1, 1, 1, 1), is_linked=False),
        types.SimpleNamespace(default_value=strength, is_linked=False)])
    return types.SimpleNamespace(use_nodes=True, node_tree=types.SimpleNamespace(
        nodes={"Background": node}))


class Image:
    """A loaded picture: floats as in the file, lines from the bottom up."""

    def __init__(self, path):
        self.values = media.read_image(path)[::-1].astype(np.float32) / 255
        self.pixels = self

    def __len__(self):
        return self.values.size

    def foreach_get(self, flat):
        flat[:] = self.values.reshape(-1)

    def foreach_set(self, flat):
        self.values = flat.reshape(self.values.shape).copy()

    def save(self):
        media.write_image(self.filepath_raw, self.values[::-1])
