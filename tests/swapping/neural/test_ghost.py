"""GHOST without GHOST's dependencies: against arrays of upstream's own code, and with a stand-in
for its clone. The arrays are made by benchmarks/ghost_path.py, which needs the clone."""

import pickle
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from idf_helpers import Dataset, IdfError
from idf_helpers.catalogue import STAGES
from idf_helpers.data import media, samples
from idf_helpers.data.sequence import in_time
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.runtime import download
from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.progress import Reporter
from idf_helpers.runtime.weights import fit_state, load_state
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.dataset import swap_dataset
from idf_helpers.swapping.neural import ghost, ghost_steps
from idf_helpers.swapping.neural.align import five_points
from idf_helpers.swapping.neural.ghost_align import (
    POSES,
    ghost_crop,
    pose_matrix,
    smooth_points,
    tracks,
)
from idf_helpers.swapping.neural.ghost_mask import face_mask, mask_params, points_106, raise_brows
from idf_helpers.swapping.neural.ghost_nets import GhostFiles, GhostNets, generator_class, load_nets
from idf_helpers.swapping.neural.iresnet import IResNet
from idf_helpers.swapping.neural.model_files import SWAP_FILES
from idf_helpers.swapping.source import load_source
from tests.fixtures.heads import BACK, NEAR

from .ghost_cases import SHIFTS, TURNS, small_nets, walk


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).with_name("data") / "ghost_golden.npz") as data:
        return dict(data)


@pytest.fixture(scope="module")
def pictures():
    """Source and target as upstream was given them, RGB."""
    return (media.read_image(samples.photo("C"))[..., :3],
            samples.dataset("head_multiview").test[0].image()[..., :3])


# --- against upstream's own numbers ---------------------------------------------------------------

def test_alignment(golden):
    np.testing.assert_allclose([pose_matrix(five)[0] for five in TURNS], golden["matrices"],
                               atol=1e-5)


def test_smoothing(golden):
    np.testing.assert_allclose(smooth_points(walk()), golden["smoothed"], atol=1e-5)


def test_crop(golden, pictures):
    """Other versions of OpenCV may round a pixel another way."""
    crop = ghost_crop(pictures[1], pose_matrix(golden["fives"][1])[0])
    gap = np.abs(crop[::8, ::8].astype(int) - golden["crop"])
    assert gap.max() <= 1 and gap.mean() < 0.02


def moved(landmarks, shift):
    return landmarks + np.sign(landmarks - landmarks.mean(0)) * (shift, 0)


def test_masks_are_identical(golden):
    """All four widths, from the same landmarks."""
    assert len({tuple(p) for p in golden["params"]}) == 4
    for shift, want, params in zip(SHIFTS, golden["masks"], golden["params"], strict=True):
        mask, used = face_mask(moved(golden["landmarks"], shift), golden["landmarks"])
        assert used == tuple(params)
        np.testing.assert_array_equal(np.rint(mask * 255), want)


def test_the_whole_image_path(golden, pictures):
    """Crops, embedding, generator, mask and blend: within one gray level of upstream's picture."""
    nets = small_nets()
    crops = [ghost_crop(p, pose_matrix(f)[0]) for p, f in
             zip(pictures, golden["fives"], strict=True)]
    new = ghost_steps.generate(crops[1], nets.embed(crops[0][None])[0], nets)
    M = pose_matrix(golden["fives"][1])[0]
    for shift, want in zip(SHIFTS, golden["outputs"], strict=True):
        mask, _ = face_mask(moved(golden["landmarks"], shift), golden["landmarks"])
        out, share = ghost_steps.blend(pictures[1], new, mask, M)
        assert np.abs(out[::4, ::4].astype(int) - want).max() <= 1
        np.testing.assert_array_equal(out[share == 0], pictures[1][share == 0])
        assert (out != pictures[1]).any(-1).mean() > 0.02


# --- every formula --------------------------------------------------------------------------------

@pytest.mark.parametrize("number", range(5))
def test_each_pose_finds_itself(number):
    five = POSES[number] * 3 + (40, 7)
    M, chosen = pose_matrix(five)
    assert chosen == number
    np.testing.assert_allclose(five @ M[:, :2].T + M[:, 2], POSES[number] * 2, atol=1e-3)
    assert np.isnan(pose_matrix(np.ones((5, 2)))[0]).all()


def test_profiles_mirror_each_other():
    flip = [1, 0, 2, 4, 3]
    for a, b in ((0, 4), (1, 3), (2, 2)):
        gap = POSES[a] - (POSES[b][flip] * (-1, 1) + (112, 0))
        assert np.abs(gap).max() < 0.5


def test_window_shrinks_toward_the_ends_and_stops_at_cuts():
    """By hand: frames 0 to 5 in a line, a jump of the nose, three more, a lost face."""
    at = [np.full((5, 2), float(k * k) / 8) for k in range(6)]
    points = [*at, *(a + 50 for a in at[:3]), None, at[0]]
    assert tracks(points) == [[0, 1, 2, 3, 4, 5], [6, 7, 8], [9], [10]]
    smooth = smooth_points(points)
    k = np.arange(6.0) ** 2 / 8
    want = [k[0], k[:3].mean(), k[:5].mean(), k[1:6].mean(), k[3:6].mean(), k[5]]
    np.testing.assert_allclose([s[0, 0] for s in smooth[:6]], want)
    np.testing.assert_allclose([s[0, 0] for s in smooth[6:9]], [50, 50 + k[:3].mean(), 50 + k[2]])
    assert smooth[9] is None and (smooth[10] == at[0]).all()


@pytest.mark.parametrize("offset, want", [(6.25, (15, 15, 10)), (6.0, (10, 10, 8)),
                                          (3.25, (10, 10, 8)), (3.0, (5, 5, 5)),
                                          (-3.0, (5, 5, 5)), (-3.25, (-5, 5, 10))])
def test_mask_parameters_by_the_jaw(offset, want):
    """The left jaw moved inward, or the right one; the larger counts, the other is much wider."""
    target = np.random.default_rng(0).integers(20, 200, (106, 2)).astype(float)
    left, right = target.copy(), target.copy()
    left[13, 0] += offset
    left[17, 0] += 100
    right[29, 0] -= offset
    right[1, 0] -= 100
    assert mask_params(left, target) == want
    assert mask_params(right, target) == want


def test_brows_rise_in_whole_pixels():
    points = np.random.default_rng(1).uniform(0, 200, (106, 2))
    up = raise_brows(points, 2.7)
    whole = points.astype(int)
    assert up.dtype == np.int32
    assert (up[43] == (whole[43] + 1.35 * (whole[43] - whole[35])).astype(int)).all()
    assert (up[105] == (whole[105] + 1.35 * (whole[105] - whole[96])).astype(int)).all()
    others = np.setdiff1d(np.arange(106), [43, 48, 49, 51, 50, 102, 103, 104, 105, 101])
    assert (up[others] == whole[others]).all()


def test_a_track_keeps_its_mask_parameters():
    points = 112 + 60 * np.random.default_rng(2).normal(0, 0.5, (106, 2))
    mask, params = face_mask(points, None, (10, 10, 8))
    assert params == (10, 10, 8) and mask.shape == (224, 224)
    assert 0 < mask.max() <= 1 and mask[112, 112] > 0.5 > mask[0].max()


def test_the_106_points_lie_where_2d106det_puts_them(view_at):
    """The jaw runs from one ear over the chin to the other; lids lie below brows; the hull holds
    the face."""
    view = view_at(0)
    face = view.faces[0]
    p = points_106(face.xy - 0.5)
    assert np.isfinite(p).all() and len(np.unique(p[:33].round(3), axis=0)) == 33
    left, right = [1, *range(9, 17), *range(2, 9)], [17, *range(25, 33), *range(18, 25)]
    assert (np.diff(p[[*left, 0], 1]) > 0).all() and (np.diff(p[[*right, 0], 1]) > 0).all()
    assert p[1, 0] < p[16, 0] < p[0, 0] < p[32, 0] < p[17, 0] and p[0, 1] == p[:, 1].max()
    for lid, brow in ((40, 49), (94, 104)):
        assert p[brow, 1] < p[lid, 1] and abs(p[brow, 0] - p[lid, 0]) < 0.2 * face.size
    steps = np.linalg.norm(np.diff(p[[*left, 0]], axis=0), axis=1)
    assert steps.std() < 0.2 * steps.mean()
    hull = cv2.convexHull(p.astype(np.float32))
    assert cv2.contourArea(hull) > 0.5 * face.size**2


# --- networks and weights -------------------------------------------------------------------------

def test_recognizer_has_the_tensors_of_iresnet100():
    with torch.device("meta"):
        net = IResNet()
    state = net.state_dict()
    assert len(state) == 925
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(65.2e6, rel=0.001)
    for key in ("conv1.weight", "prelu.weight", "layer1.0.downsample.1.running_var",
                "layer3.29.bn3.num_batches_tracked", "layer4.2.conv2.weight", "fc.bias",
                "features.running_mean"):
        assert key in state
    assert "layer3.1.downsample.0.weight" not in state


def test_recognizer_by_hand():
    """One block of the small one, computed step by step."""
    import torch.nn.functional as F

    torch.manual_seed(0)
    net = IResNet((1, 1, 1, 1), 4).eval()
    x = torch.rand(1, 3, 112, 112)
    assert net(x).shape == (1, 512)
    block = net.layer1[0]
    y = torch.rand(1, 4, 6, 6)
    with torch.no_grad():
        for bn in (block.bn1, block.bn2, block.bn3, block.downsample[1]):
            bn.running_mean.uniform_()
            bn.running_var.uniform_(0.5, 2)

        def norm(bn, v):
            return F.batch_norm(v, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=1e-5)

        a = F.conv2d(norm(block.bn1, y), block.conv1.weight, padding=1)
        a = F.prelu(norm(block.bn2, a), block.prelu.weight)
        a = norm(block.bn3, F.conv2d(a, block.conv2.weight, stride=2, padding=1))
        b = norm(block.downsample[1], F.conv2d(y, block.downsample[0].weight, stride=2))
        torch.testing.assert_close(block(y), a + b)


def test_from_a_users_clone_into_the_cache(clone, tmp_path):
    """`idf download ghost --from CLONE`: code by its hashes, weights into the local record."""
    assert not download.is_present(SWAP_FILES["ghost"])
    assert "idf download ghost" in STAGES["swap"].find("ghost").missing()
    download.install_from(SWAP_FILES["ghost"], clone)
    assert download.is_present(SWAP_FILES["ghost"])
    lock = read_json(tmp_path / "cache" / "lock.json")
    assert set(lock) == {"ghost/G_unet_2blocks.pth", "ghost_backbone/backbone.pth"}
    files = GhostFiles.of("ghost")
    assert files.blocks == 2 and files.code.parent == tmp_path / "cache"
    nets = load_nets(files, "cpu")
    assert isinstance(nets, GhostNets) and load_nets(files, "cpu") is nets
    assert "network" not in sys.modules and str(files.code) not in sys.path
    (clone / "network" / "AEI_Net.py").write_text("raise SystemExit('another code')\n")
    with pytest.raises(IdfError, match="AEI_Net.py"):
        download.install_from(SWAP_FILES["ghost"].needs[0], clone)


def test_a_users_clone_where_it_lies(clone, monkeypatch):
    monkeypatch.setenv("IDF_GHOST", str(clone))
    files = GhostFiles.of("ghost")
    assert files == GhostFiles(clone, clone / "weights/G_unet_2blocks.pth",
                               clone / "arcface_model/backbone.pth", 2)
    assert STAGES["swap"].find("ghost").missing() is None
    assert "ghost_3blocks" in STAGES["swap"].find("ghost_3blocks").missing()


def test_a_module_called_network_of_the_users_own_stays(clone):
    mine = sys.modules["network"] = type(sys)("network")
    try:
        assert generator_class(clone).__name__ == "AEI_Net"
        assert sys.modules["network"] is mine
    finally:
        del sys.modules["network"]
    (clone / "network" / "AEI_Net.py").write_text("import nothing_like_it\n")
    with pytest.raises(IdfError, match="cannot be imported"):
        generator_class(clone)


def test_a_swap_of_the_whole_stage(clone, monkeypatch, small_head, tmp_path):
    monkeypatch.setenv("IDF_GHOST", str(clone))
    embeddings = []
    embed = GhostNets.embed
    monkeypatch.setattr(GhostNets, "embed",
                        lambda self, crops: embeddings.append(len(crops)) or embed(self, crops))
    data = Dataset.open(small_head)
    out = swap_dataset(data, samples.photo("C"), tmp_path / "o", SwapConfig("ghost"))
    report = read_json(out.root / "swap_report.json")
    assert report["backend"] == "ghost" and "ghost runs on cpu" in report["note"]
    assert report["counts"]["swapped"] >= NEAR - 2
    assert embeddings == [1]  # the source, once; upstream: source and target for every image
    rows = {r["name"]: r for r in report["frames"]}
    assert all(r["outside"] == 0 for r in rows.values())
    back = [r for r in rows.values() if r["status"] == "no_face"]
    assert len(back) >= BACK
    for a, b in zip(data.frames, out.frames, strict=True):
        if rows[a.name]["status"] == "swapped":
            assert 0.02 < (a.image() != b.image()).any(-1).mean() < 0.5
        else:
            assert a.path.read_bytes() == b.path.read_bytes()


def test_steps_called_one_by_one_are_the_method(clone, monkeypatch, view_at):
    """What a notebook shows step by step is bit for bit what the method does to a picture."""
    monkeypatch.setenv("IDF_GHOST", str(clone))
    photo, view = load_source(samples.photo("C")), view_at(10)
    swapper = ghost.GhostMethod("ghost").prepare([], (photo,), None, Reporter(),
                                                 SwapConfig("ghost"))
    whole = swapper(view.image, view.camera)
    assert whole.status == "swapped"
    nets = load_nets(GhostFiles.of("ghost"))
    source = ghost_steps.embed(photo.image, photo.landmarks, nets)
    assert source.shape == (512,) and source.dtype == np.float32
    aligned = ghost_steps.align(view.image, view.faces[0])
    assert aligned.crop.shape == (224, 224, 3) and aligned.points.shape == (106, 2)
    new = ghost_steps.generate(aligned.crop, source, nets)
    assert new.shape == aligned.crop.shape and new.dtype == np.uint8
    weights, params = ghost_steps.mask(new, aligned, LandmarkDetector())
    assert weights.shape == (224, 224) and 0 <= weights.min() < weights.max() <= 1
    picture, share = ghost_steps.blend(view.image, new, weights, aligned.matrix)
    np.testing.assert_array_equal(picture, whole.image)
    np.testing.assert_array_equal(share, whole.mask)
    made = ghost_steps.GhostSteps(view.image, view.faces[0], source, nets, LandmarkDetector())
    np.testing.assert_array_equal(made.blend, picture)
    assert made.params == params
    kept, same = ghost_steps.mask(new, aligned, LandmarkDetector(), params)
    assert same == params
    np.testing.assert_array_equal(kept, weights)


def test_sequences_are_smoothed_and_keep_their_mask(clone, monkeypatch, tmp_path):
    """The points of a frame are the mean over its neighbors, the mask's width that of the first
    frame of the track; the prepared swapper goes to worker processes."""
    monkeypatch.setenv("IDF_GHOST", str(clone))
    frames = list(samples.dataset("head_talking").frames)
    frames = in_time(frames)[:5]
    face = load_source(samples.photo("C"))
    swapper = ghost.GhostMethod("ghost").prepare(frames[::-1], (face,), None, Reporter(),
                                                 SwapConfig("ghost"))
    assert set(swapper.hints) == {f.name for f in frames}
    detector = LandmarkDetector()
    fives = [five_points(detector.detect(f.image())[0].points) for f in frames]
    assert len(tracks(fives)) == 1
    np.testing.assert_allclose(swapper.hints[frames[2].name].five, np.mean(fives, axis=0))
    np.testing.assert_allclose(swapper.hints[frames[0].name].five, fives[0])
    assert len({h.params for h in swapper.hints.values()}) == 1
    ready = pickle.loads(pickle.dumps(swapper)).of_frame(frames[2].name)
    image = frames[2].image()
    result = ready(image, frames[2].camera)
    assert result.status == "swapped" and ready.hint.params is not None
    alone = replace(ready, hint=None)(image, frames[2].camera)
    assert (alone.image != result.image).any()


# --- weights that are none ------------------------------------------------------------------------

class Evil:
    def __reduce__(self):
        return (open, (str(Path(__file__).with_name("was_here")), "w"))


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    torch.save({"weight": torch.ones(2), "code": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(IdfError, match="they would run code") as error:
        load_state(tmp_path / "evil.pth")
    assert "open" in error.value.found
    assert not Path(__file__).with_name("was_here").exists()


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "missing", "module", "list"])
def test_files_that_hold_no_weights(tmp_path, kind):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(1000)}, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-500])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not weights at all")
    elif kind == "missing":
        path.unlink()
    elif kind == "list":
        torch.save([1, 2], path)
    elif kind == "module":
        torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(IdfError, match=r"w\.pth"):
        load_state(path)


def test_weights_of_another_architecture_are_summed_up(tmp_path):
    own = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    state = {"0.weight": torch.ones(3, 3), "0.bias": torch.ones(7), "1.bias": torch.ones(3),
             **{f"encoder.{k}": torch.ones(1) for k in range(5)}}
    with pytest.raises(IdfError, match="another network than Sequential") as error:
        fit_state(own, state, "x.pth")
    assert error.value.found == ("1 missing: 1.weight; 5 unexpected: encoder.0, encoder.1, "
                                 "encoder.2 and 2 more; 1 of another shape: 0.bias (7,), not (3,)")
    good = {k: torch.full_like(v, 0.5) for k, v in own.state_dict().items()}
    assert (fit_state(own, good, "x.pth")[1].bias == 0.5).all() and not own.training


def test_ghost_with_weights_of_other_blocks(clone, monkeypatch):
    monkeypatch.setenv("IDF_GHOST", str(clone))
    (clone / "weights" / "G_unet_3blocks.pth").write_bytes(
        (clone / "weights" / "G_unet_2blocks.pth").read_bytes())
    with pytest.raises(IdfError, match="another network than AEI_Net") as error:
        load_nets(GhostFiles.of("ghost_3blocks"), "cpu")
    assert "2 missing: generator.2.fc1.weight" in error.value.found


def test_a_generator_that_gives_no_numbers():
    def broken(target, embedding):
        return torch.full_like(target, float("nan")), None

    nets = GhostNets(broken, lambda x: x)
    with pytest.raises(IdfError, match="NaN or infinity"):
        nets.swap(np.zeros((256, 256, 3), np.uint8), np.zeros(512))
