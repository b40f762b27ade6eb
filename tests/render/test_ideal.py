"""Heads that wear another's face, what they are photographed with, and the set of shots."""

from __future__ import annotations

import json

import accessories
import ideal
import ideal_shots
import numpy as np
import pytest
from ideal import IdealPack
from pack import to_world
from shots import camera_at, to_set

from idf_helpers.data.cameras import Camera

ROWS, COLUMNS = 90, 120
RADII, CENTER = np.array([8.0, 11.5, 9.0]), np.array([0.0, 3.2, 1.5])


def ball(longitude, latitude) -> np.ndarray:
    """(..., 3) of an egg-shaped head; degrees; longitude 0 is the face's middle, 90 its left."""
    a, b = np.radians(longitude), np.radians(latitude)
    d = np.stack([np.sin(a) * np.cos(b), np.sin(b) * np.ones_like(a), np.cos(a) * np.cos(b)], -1)
    return CENTER + RADII * d


LATITUDE = np.linspace(-88, 88, ROWS)
LONGITUDE = np.linspace(-180, 180, COLUMNS, endpoint=False)
HEAD = ball(*np.meshgrid(LONGITUDE, LATITUDE)).reshape(-1, 3)


def nearest(points) -> np.ndarray:
    return np.array([np.linalg.norm(HEAD - p, axis=1).argmin() for p in points])


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> IdealPack:
    """Head A an egg, head B an egg with a nose, larger and elsewhere, head C only larger."""
    folder = tmp_path_factory.mktemp("pack")
    i = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    right = np.roll(i, -1, 1)
    quads = np.stack([i[:-1], right[:-1], right[1:], i[1:]], -1).reshape(-1)
    side = np.linspace(-1, 1, 17)
    jaw = ball(70 * side, 2 - 50 * (1 - np.abs(side) ** 2.5))
    inner = [ball(x, y) for x, y in (*[(s * 30, 16) for s in np.linspace(-1, 1, 10)],
                                     *[(0, y) for y in (10, 4, -2, -6)],
                                     *[(x, -8) for x in (-6, -3, 0, 3, 6)],
                                     *[(-22 + 4 * np.cos(t), 10) for t in range(6)],
                                     *[(22 + 4 * np.cos(t), 10) for t in range(6)],
                                     *[(12 * np.sin(t), -22) for t in range(20)])]
    nose = nearest([ball(0, -2)])
    bump = 1.2 * np.exp(-((HEAD - HEAD[nose]) ** 2).sum(1) / 3)[:, None] * (0, 0, 1)
    longitude = np.degrees(np.arctan2(HEAD[:, 0] - CENTER[0], HEAD[:, 2] - CENTER[2]))
    scalp = (HEAD[:, 1] > 9.6) | (np.abs(longitude) > 95)
    grown = (HEAD - CENTER) * 0.1 + (0, 0.5, 0.3)
    core = {
        "base": HEAD.astype(np.float32), "face_len": np.full(len(quads) // 4, 4, np.uint8),
        "face_flat": quads.astype(np.int32), "face_uv_flat": quads.astype(np.int32),
        "uv": np.zeros((len(HEAD), 2), np.float32), "part_names": np.array(["skin"]),
        "part_face_range": np.array([[0, len(quads) // 4]]), "expr_names": np.array(
            ["mouthSmile_L", "mouthSmile_R", "cheekSquint_L", "cheekSquint_R"]),
        "expr_q": np.zeros((4, len(HEAD), 3), np.int16), "expr_scale": np.ones(4, np.float32),
        "landmarks68": nearest([*jaw, *inner]),
        "id_A_delta": np.zeros_like(HEAD), "id_B_delta": bump + grown, "id_C_delta": grown}
    core |= {f"mask_{m}": (255 * scalp).astype(np.uint8) for m in ("scalp_A", "scalp_B")}
    np.savez(folder / "head_core.npz", **core)
    look = {"tone": "c08d72", "tone2": "cb9a7f", "red": "b8604f", "lid": "a06a5c",
            "dark": "8a5844", "redmask": {}, "lip": "9a3f44", "lip2": "b25558", "lipw": 0.8,
            "iris": "4f6a52", "hairkind": "A", "haircol": "40281a", "freckles": 0.35,
            "shirt": "2b3a55"}
    other = look | {"tone": "70452f", "lip": "85504a", "lip2": "6e3c38", "iris": "2a1810",
                    "haircol": "0f0b09", "beard": 0.6, "hairkind": "B", "shirt": "7a2f2a"}
    del other["freckles"]
    # one strand of each kind on the nose, one on the back of the head
    roots = np.repeat(np.concatenate([nose, nearest([ball(180, 0)])])[:, None], 3, 1)
    strands = {f"{kind}_{k}": v for kind in ("brow", "stubble") for k, v in
               (("tri", roots), ("bary", np.full((2, 3), 1 / 3)),
                ("local", np.zeros((2, 4, 3))))}
    for who, colors in (("A", look), ("B", other), ("C", look)):
        (folder / f"look_{who}.json").write_text(json.dumps(colors))
        mine = strands | ({k: strands[k] + 0.5 for k in strands if k.endswith("local")}
                          if who == "B" else {})
        np.savez(folder / f"strands_{who}.npz", hair=np.full((1, 3, 3), ord(who)), **mine)
    return IdealPack(folder)


def test_the_face_is_the_face_and_nothing_else(pack):
    w = pack.face_weight
    assert (w[nearest([ball(x, y) for x in (-25, 0, 25) for y in (10, 0, -15)])] == 1).all()
    assert (w[nearest([ball(180, 0), ball(0, 80), ball(90, 0), ball(0, -85)])] == 0).all()
    step = np.abs(np.diff(w.reshape(ROWS, COLUMNS), axis=0)).max()
    assert step < 0.75  # no edge from one vertex to the next


def test_a_larger_head_elsewhere_gives_no_other_face(pack):
    """A face is set where the head's own is: only its shape counts."""
    np.testing.assert_allclose(pack.neutral("C_on_A"), pack.neutral("A"), atol=1e-6)


def test_the_shape_is_the_others_in_the_face_and_the_heads_elsewhere(pack):
    worn, own = pack.neutral("B_on_A"), pack.neutral("A")
    off = np.linalg.norm(worn - own, axis=1)
    assert (off[pack.face_weight == 0] == 0).all()
    at = nearest([ball(0, -2)])
    assert 0.9 < (worn - own)[at, 2] < 1.2 and off[at] == off.max()
    np.testing.assert_array_equal(pack.neutral("B"), HEAD.astype(np.float32)
                                  + pack.core["id_B_delta"])


def test_complexion_is_the_heads_and_features_are_the_others(pack):
    look = pack.look("B_on_A")
    face = look["face"]
    assert face["tone"] == look["tone"] == "c08d72" and look["haircol"] == "40281a"
    assert face["iris"] == "2a1810" and face["haircol"] == "0f0b09" and face["beard"] == 0.6
    assert face["freckles"] == 0 and look["freckles"] == 0.35  # B has none
    assert "face" not in pack.look("B")
    for head in "AB":  # lighter lips than skin (B's) and much darker ones (A's) on both
        for who in "AB":
            if who != head:
                worn = pack.look(f"{who}_on_{head}")["face"]
                tone = ideal._lab(worn["tone"])
                for lip in ("lip", "lip2"):
                    lab = ideal._lab(worn[lip])
                    assert lab[0] <= tone[0] + 0.5 and lab[1] > tone[1]


def test_brows_and_stubble_change_where_the_face_does(pack):
    strands = pack.strands("B_on_A")
    assert (strands["hair"] == ord("A")).all()
    for kind in ("brow", "stubble"):
        roots = pack.face_weight[strands[f"{kind}_tri"]].mean(1)
        assert roots.tolist() == [1, 0]
        np.testing.assert_array_equal(strands[f"{kind}_local"][:, 0, 0], [0.5, 0])
    np.testing.assert_array_equal(pack.strands("B")["brow_local"], np.full((2, 4, 3), 0.5))


def test_the_mask_lies_on_the_face_from_any_side(pack):
    masks = {}
    for yaw in (0, 50, 180):
        camera = Camera.from_fov(to_set(camera_at(yaw, 0), 4.0), ideal_shots.FOV_X, 160, 160)
        masks[yaw] = pack.face_mask("B_on_A", {}, camera, 4.0)
        middle = camera.project(to_world(pack.neutral("B_on_A")[nearest([ball(0, -2)])]))[0][0]
        if yaw < 90:
            assert masks[yaw][int(middle[1]), int(middle[0])] > 0.99
    assert masks[180].max() == 0  # the face is behind the head
    np.testing.assert_allclose(masks[0], masks[0][:, ::-1], atol=0.3)
    assert 0.15 < masks[0].mean() < 0.5 and masks[50].sum() < 0.9 * masks[0].sum()


def test_glasses_and_fringe_lie_before_the_face(pack):
    v = pack.vertices("A", {})
    marks = pack.landmarks(v)
    worn = accessories.glasses(pack, v)
    for rim, eye in zip(worn.rims, (marks[36:42].mean(0), marks[42:48].mean(0)), strict=True):
        assert (rim[:, :2].min(0) < eye[:2]).all() and (rim[:, :2].max(0) > eye[:2]).all()
        assert (rim[:, 2] > eye[2]).all()
    assert (np.abs(worn.bars[1:, -1, 0]) > RADII[0]).all()  # the arms end beside the head
    strands = accessories.fringe(pack, "A", v)
    np.testing.assert_array_equal(strands, accessories.fringe(pack, "A", v))
    root, tip = strands[:, 0], strands[:, -1]
    assert (root[:, 1].mean() > 9) and abs(tip[:, 1].mean() - marks[17:27, 1].max()) < 1.2
    inside = (((tip - CENTER) / RADII) ** 2).sum(1)
    assert np.quantile(inside, 0.02) > 1  # before the skin, not in it


def test_every_ideal_has_the_camera_and_the_expression_of_its_target():
    plan = ideal_shots.ideal_plan()
    by_file = {s.file: s for s in plan.shots}
    assert len(by_file) == len(plan.shots)
    ideals = [s for s in plan.shots if s.file.startswith("ideals/")]
    assert len(ideals) == 5 * sum(len(faces) for _, _, faces, _ in ideal_shots.TARGETS)
    for s in ideals:
        _, pair, view = s.file.split("/")
        target = by_file[f"targets/{pair.split('_on_')[1]}/train/{view}"]
        assert s.identity.split("_on_")[1] == target.identity and s.weights == target.weights
        np.testing.assert_array_equal(s.c2w, target.c2w)
        assert {f"photos/{s.identity[0]}_{n}.png" for n in ideal_shots.PHOTOS} <= by_file.keys()
    for name, (_, shots) in plan.tables.items():
        folder = name.rsplit("/", 1)[0]
        for s in shots:
            assert s.file == f"{folder}/{s.entry['file_path'].removeprefix('./')}.png"
    key = ideal_shots.turned(62)[:3, :3] @ (2.6, -4.2, 2.6)
    assert key[0] > 4 and abs(key[1]) < 0.6  # from the head's left
