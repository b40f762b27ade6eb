"""Tile lists, code generation and caching of the CPU rasterizer."""

import os
import platform
import re
import subprocess
import sys

import numpy as np
import pytest
from llvmlite import binding
from numba import njit

from idf_helpers.data.cameras import Camera
from idf_helpers.kernels import compile as jit
from idf_helpers.kernels.simd import lanes_tuple
from idf_helpers.reconstruction.splats import raster_forward
from idf_helpers.reconstruction.splats.blocks import PLANE, blocks_met
from idf_helpers.reconstruction.splats.gaussians import Gaussians
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
from idf_helpers.reconstruction.splats.screen import (
    A8,
    B8,
    C8,
    DEPTH,
    RECORD,
    SLOPE_X,
    SLOPE_Y,
    T_MIN,
    U,
    V,
)


@pytest.fixture(scope="module")
def lists():
    """A drawn scene's records, hits and tile lists, on 13 x 9 tiles of 16 x 16."""
    rng = np.random.default_rng(0)
    n = 400
    g = Gaussians(rng.normal(size=(n, 3)) * 0.6, rng.uniform(-4.5, -0.5, (n, 3)),
                  rng.normal(size=(n, 4)), rng.normal(size=n) * 3,
                  rng.normal(size=(n, 1, 3))).checked()
    g.means[1] = g.means[0]  # equal depths: the order is by index
    camera = Camera.look_at((0.3, -3, 0.4), (0, 0, 0), (0, 0, 1), 0.7, 200, 140)
    rasterizer = CpuRasterizer(lanes=16)
    rasterizer.forward(g, camera, train=True)
    d = rasterizer._drawn
    records = np.where(d.hits[:, None] > 0, d.records, 0)  # rows of what is not drawn are undefined
    return records, d.hits, d.slot_start, d.starts, d.ids, d.slot_of, d.tiles_x


def largest_t(record, tile, tiles_x, step):
    """Brute force: the largest -s/8 over a grid on the tile's pixel centers' rectangle."""
    x = tile % tiles_x * 16 + 0.5 + np.arange(0, 15 + step / 2, step) - record[U]
    y = (tile // tiles_x * 16 + 0.5 + np.arange(0, 15 + step / 2, step) - record[V])[:, None]
    return (record[A8] * x * x + record[B8] * x * y + record[C8] * y * y).max()


def test_every_tile_lists_what_it_must_draw_near_to_far(lists):
    records, hits, _, starts, ids, _, tiles_x = lists
    records = records.astype(np.float64)
    drawn = np.flatnonzero(hits)
    for tile in range(len(starts) - 1):
        found = ids[starts[tile]:starts[tile + 1]]
        must = [i for i in drawn if largest_t(records[i], tile, tiles_x, 1.0) >= records[i, T_MIN]]
        assert set(must) <= set(found)
        # naive order: by depth, then by index
        assert list(found) == sorted(found, key=lambda i: (records[i, DEPTH], i))
        for i in set(found) - set(must):  # the ellipse passes between pixel centers
            slack = 0.02 * abs(records[i, T_MIN]) + 1e-3
            assert hits[i] == 1 or largest_t(records[i], tile, tiles_x, 0.05) >= (
                records[i, T_MIN] - slack)


def test_every_pair_has_a_slot_of_its_own(lists):
    _, hits, slot_start, starts, ids, slot_of, _ = lists
    assert starts[-1] == hits.sum() == len(ids)
    np.testing.assert_array_equal(np.sort(slot_of), np.arange(len(ids)))
    assert (slot_start[ids] <= slot_of).all() and (slot_of < slot_start[ids + 1]).all()


@njit
def met(lanes, records, x0, y0):
    return [blocks_met(lanes, records, i, x0, y0) for i in range(len(records))]


@pytest.mark.parametrize("lanes", [8, 16])
def test_a_block_is_met_where_a_pixel_of_it_is_and_hardly_elsewhere(lanes):
    rng = np.random.default_rng(3)
    n, columns = 300, 4
    records = np.zeros((n, RECORD), np.float32)
    records[:, U], records[:, V] = rng.uniform(-8, 24, (2, n))
    x_var, y_var = np.exp(rng.uniform(-1, 4, (2, n)))
    cross = rng.uniform(-0.98, 0.98, n) * np.sqrt(x_var * y_var)
    det = x_var * y_var - cross**2
    records[:, A8], records[:, C8] = -y_var / det / 16, -x_var / det / 16
    records[:, B8] = cross / det / 8
    records[:, SLOPE_X], records[:, SLOPE_Y] = cross / y_var, cross / x_var
    records[:, T_MIN] = -rng.uniform(0.1, 5.5, n) / 8
    found = met(lanes_tuple(lanes), records, np.float32(0.5), np.float32(0.5))
    rows = lanes // columns

    def reached(step):  # largest t of each block on a grid of that step
        r = records.astype(np.float64)[:, :, None, None]
        out = np.empty((n, 256 // lanes))
        for k in range(256 // lanes):
            x = k % 4 * columns + 0.5 + np.arange(0, columns - 1 + step / 2, step)
            y = (k // 4 * rows + 0.5 + np.arange(0, rows - 1 + step / 2, step))[:, None]
            dx, dy = x - r[:, U], y - r[:, V]
            out[:, k] = (r[:, A8] * dx**2 + r[:, B8] * dx * dy + r[:, C8] * dy**2).max((1, 2))
        return out

    got = np.array([[mask >> k & 1 for k in range(256 // lanes)] for mask in found], bool)
    limit = records[:, T_MIN, None]
    assert got[reached(1.0) >= limit].all()
    assert not got[reached(0.05) < 1.1 * limit - 0.01].any()
    assert 0.1 < got.mean() < 0.9


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="x86 assembly")
def test_the_inner_loop_is_packed():
    """Plain numba loops compile to scalar instructions here; the emitted vectors must not."""
    blend = njit(raster_forward.draw_tile.py_func, **jit.OPTIONS)
    planes, records = np.zeros((5, PLANE), np.float32), np.zeros((1, RECORD), np.float32)
    f = np.float32(0)
    blend(lanes_tuple(8), lanes_tuple(4), planes, records, np.zeros(1, np.int32), 0, 1, f, f,
          np.zeros(1, np.uint32))
    assembly = "\n".join(blend.inspect_asm().values())
    packed = re.findall(r"\bv?(?:fmadd\w+|mul|add|sub)ps\b", assembly)
    assert len(packed) > 15, len(packed)


ON_ARM = """
import re
import numpy as np
from llvmlite import binding
from numba import njit
from idf_helpers.kernels import compile as jit
from idf_helpers.kernels.simd import lanes_tuple
from idf_helpers.reconstruction.splats import raster_forward
from idf_helpers.reconstruction.splats.blocks import PLANE
binding.initialize_all_targets()
binding.initialize_all_asmprinters()
triple = "aarch64-unknown-linux-gnu"
try:
    machine = binding.Target.from_triple(triple).create_target_machine(cpu="generic", opt=3)
except RuntimeError:
    raise SystemExit("no such target")
blend = njit(raster_forward.draw_tile.py_func, **jit.OPTIONS)
f = np.float32(0)
blend(lanes_tuple(8), lanes_tuple(4), np.zeros((5, PLANE), np.float32),
      np.zeros((1, 16), np.float32), np.zeros(1, np.int32), 0, 1, f, f, np.zeros(1, np.uint32))
text = re.sub("target (triple|datalayout) = .*", "", "\\n".join(blend.inspect_llvm().values()))
module = binding.parse_assembly(f'target triple = "{triple}"\\n' + text)
options = binding.create_pipeline_tuning_options(speed_level=3)
binding.create_pass_builder(machine, options).getModulePassManager().run(
    module, binding.create_pass_builder(machine, options))
assembly = machine.emit_assembly(module)
print(len(re.findall(r"fm(?:la|ls|ul)\\s+v\\d+\\.4s", assembly)),
      len(re.findall(r"f(?:madd|msub|mul)\\s+s\\d", assembly)))
"""


def test_the_inner_loop_is_packed_on_arm_too():
    """Only compiled for it, from what numba hands to LLVM: no ARM machine runs here."""
    out = subprocess.run([sys.executable, "-c", ON_ARM], capture_output=True, text=True,
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path),
                              "NUMBA_OPT": "0"})
    if "no such target" in out.stderr:
        pytest.skip("this LLVM knows no ARM")
    packed, single = map(int, out.stdout.split())
    assert packed > 100 and single < packed / 10


def test_the_environment_can_ask_for_a_width(monkeypatch):
    for width in (8, 16):
        monkeypatch.setenv("IDF_SIMD", str(width))
        assert CpuRasterizer().lanes == width
    monkeypatch.delenv("IDF_SIMD")
    features = binding.get_host_cpu_features()
    assert CpuRasterizer().lanes == (16 if features.get("avx512f") else 8)


SECOND_PROCESS = """
import numpy as np
from idf_helpers.data.cameras import Camera
from idf_helpers.reconstruction.splats.gaussians import Gaussians
from idf_helpers.reconstruction.splats.raster_forward import draw
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
g = Gaussians(*(np.ones(s, np.float32) for s in ((1, 3), (1, 3), (1, 4), (1,), (1, 1, 3))))
CpuRasterizer(lanes=16).forward(g, Camera.from_fov(np.eye(4), 0.7, 20, 20), train=True)
print("hits", sum(draw.stats.cache_hits.values()), "misses", sum(draw.stats.cache_misses.values()))
"""


def test_compiled_code_is_found_again_by_the_next_process(lists):
    out = subprocess.run([sys.executable, "-c", SECOND_PROCESS], capture_output=True, text=True,
                         check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert out.stdout.split() == ["hits", "1", "misses", "0"]
