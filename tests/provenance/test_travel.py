"""Marks travel: what is made of marked pictures, videos and models says so, whoever copied them."""

import shutil

import pytest

from idf_helpers.data import media, samples
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.samples import dataset
from idf_helpers.provenance import Consent, Mark, mark, verify
from idf_helpers.provenance.lineage import copy_consent, mark_of, origin_of
from idf_helpers.reconstruction.splats import model_file, splat_file
from idf_helpers.runtime.files import read_json
from idf_helpers.tracking.config import TrackConfig
from idf_helpers.tracking.track import track
from tests.fixtures.datasets import make_dataset
from tests.fixtures.gaussians import cloud

CONSENT = Consent("Both heads are drawn; nobody is shown.", "statement", "a" * 64, "b" * 64,
                  "2026-01-01")
SWAP = Mark("abc123", "face swap of a video (uv)", "compositeWithTrainedAlgorithmicMedia",
            CONSENT.digest)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """What is tracked in a marked video, whose record of consent lies beside it."""
    root = tmp_path_factory.mktemp("swapped")
    chosen = sorted(dataset("head_talking").frames, key=lambda f: f.name[-4:])[:240:24]
    with media.video_writer(root / "talk.mp4", 25, crf=10) as video:
        for f in chosen:
            video.append(f.image()[..., :3])
    mark(root / "talk.mp4", SWAP)
    CONSENT.write(root)
    track(root / "talk.mp4", root.with_name("tracked"), TrackConfig(fov=29.0, identity=False))
    return root.with_name("tracked")


def test_frames_and_manifest_of_a_tracked_video_carry_its_mark(tracked):
    files = [*tracked.glob("frames/*.png"), tracked / "overlay.mp4", tracked / "overlay.jpg"]
    assert len(files) > 8
    for path in files:
        v = verify(path)
        assert v.source_type == SWAP.source_type and v.consent == CONSENT, path
    manifest = read_json(tracked / "run.json")
    assert (manifest["source_type"], manifest["consent"]) == (SWAP.source_type, CONSENT.digest)
    assert verify(tracked / "bg/00050.png").synthetic


def test_a_dataset_says_what_its_pictures_are_with_its_manifest_and_without(tracked, tmp_path):
    names = ("frames", "bg", *(p.name for p in tracked.glob("transforms_*.json")))
    for name in names:
        source = tracked / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    for folder in (tracked, tmp_path):
        made = mark_of(Dataset.open(folder), "r", "4D avatar")
        assert made == Mark("r", "4D avatar of swapped views", SWAP.source_type, CONSENT.digest)


def test_photographs_stay_unmarked(tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "d"))
    assert origin_of(f.path for f in data.frames).mark("r", "frames") is None
    assert mark_of(data, "r", "splats") == Mark("r", "splats")
    assert mark_of(tmp_path / "d", "r", "splats") == Mark("r", "splats")


def test_a_picture_of_another_generator_counts_by_its_digital_source_type(tmp_path):
    xmp = SWAP.xmp().replace("compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia")
    xmp = xmp[:xmp.index("<dc:title>")] + xmp[xmp.index("</dc:description>") + 17:]
    path = tmp_path / "a.webp"
    media.write_image(path, samples_picture(), xmp=xmp)
    origin = origin_of([path, samples.photo("B")])
    assert origin.source_type == SWAP.source_type and origin.marked == 1
    assert origin_of([path.read_bytes()]) == origin  # a photo that is given as bytes
    assert origin.joined("compositeSynthetic") == SWAP.source_type


def samples_picture():
    return media.read_image(samples.photo("B"))[::8, ::8, :3].copy()


def test_a_splat_that_was_copied_alone_is_known(tmp_path):
    path = mark(splat_file.write_splat(cloud(9), tmp_path / "a.splat"), SWAP)
    shutil.move(path, tmp_path / "b.splat")
    assert model_file.mark_of_file(tmp_path / "b.splat") == SWAP
    assert len(model_file.read_model(tmp_path / "b.splat")) == 9


def test_consent_is_found_above_the_pictures_by_its_digest(tmp_path):
    CONSENT.write(tmp_path)
    (tmp_path / "a").mkdir()
    copy_consent(tmp_path / "a", tmp_path / "b", CONSENT.digest)
    assert Consent.read(tmp_path / "b") == CONSENT
    copy_consent(tmp_path / "a", tmp_path / "c", "0" * 64)
    assert not (tmp_path / "c").exists()
