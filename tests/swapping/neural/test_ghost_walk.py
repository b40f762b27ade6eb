"""GHOST step by step in a notebook: with a stand-in for its clone, and without any weights."""

from types import SimpleNamespace

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data import media, samples
from idf_helpers.data.dataset import Frame
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.notebook.originals import ghost as cells
from idf_helpers.runtime.progress import Reporter
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.neural import ghost, ghost_steps
from idf_helpers.swapping.neural.ghost_walk import GhostWalk
from idf_helpers.swapping.neural.model_files import SWAP_FILES
from idf_helpers.swapping.source import load_source

STEPS = ("align", "embed", "generate", "mask", "blend")


@pytest.fixture(scope="module")
def photo():
    return load_source(samples.photo("B"))


def of(view, folder, consent="both are rendered heads") -> cells.GhostPictures:
    """The pictures of a panel that holds photo B and one view."""
    path = folder / "view.png"
    media.write_image(path, view.image)
    target = SimpleNamespace(root=folder, frames=[Frame("view", path, view.camera, "train")])
    return cells.GhostPictures(SimpleNamespace(source=samples.photo("B"), target=target,
                                               consent=SimpleNamespace(value=consent)))


def captions(monkeypatch, pictures) -> str:
    """All that stands above the pictures of all steps, which are drawn."""
    said, sheet = [], cells.contact_sheet
    monkeypatch.setattr(cells, "contact_sheet", lambda *a: said.extend(a[3]) or sheet(*a))
    for step in STEPS:
        assert getattr(pictures, step)().std() > 10
    return "; ".join(said)


def test_a_walk_is_the_backend(clone, monkeypatch, view_at, photo, tmp_path):
    """What a student looks at is bit for bit what `idf swap --backend ghost` makes."""
    monkeypatch.setenv("IDF_GHOST", str(clone))
    view = view_at(10)
    swapper = ghost.GhostMethod("ghost").prepare([], (photo,), None, Reporter(),
                                                 SwapConfig("ghost"))
    whole = swapper(view.image, view.camera)
    pictures = of(view, tmp_path)
    walk = pictures.walk
    assert walk.lack is None and "GHOST (ghost)" in walk.maker
    np.testing.assert_array_equal(walk.blend, whole.image)
    np.testing.assert_array_equal(walk.share, whole.mask)
    assert walk.embedding.shape == walk.target_embedding.shape == (512,)
    assert walk.generated is walk.generated, "a step is made once"
    said = captions(monkeypatch, pictures)
    assert said.count("cosine to the photo") == 3 and "mesh" not in said


def test_without_weights_it_says_what_takes_their_place(monkeypatch, view_at, tmp_path):
    monkeypatch.delenv("IDF_GHOST", raising=False)
    view = view_at(10)
    pictures = of(view, tmp_path)
    walk = pictures.walk
    assert "idf download ghost" in walk.lack and walk.maker == "made by mesh, not GHOST"
    assert walk.embedding is None and walk.target_embedding is None
    # the steps around the generator are GHOST's own
    aligned = ghost_steps.align(view.image, view.faces[0])
    np.testing.assert_allclose(walk.aligned.matrix, aligned.matrix)
    weights, params = ghost_steps.mask(walk.generated, walk.aligned, LandmarkDetector())
    assert walk.params == params
    out, share = ghost_steps.blend(view.image, walk.generated, weights, walk.aligned.matrix)
    np.testing.assert_array_equal(walk.blend, out)
    assert 0.02 < (share > 0).mean() < 0.6 and (out[share == 0] == view.image[share == 0]).all()
    said = captions(monkeypatch, pictures)
    assert said.count("made by mesh, not GHOST") == 2 and "weights are not here" in said
    assert "cosine" not in said
    # another photo in the panel: the next picture is of it
    pictures.panel.source = samples.photo("C")
    assert pictures.walk is not walk and (pictures.walk.photo.image != walk.photo.image).any()


def test_a_swap_needs_consent(view_at, tmp_path):
    with pytest.raises(IdfError, match="onsent|agreed"):
        of(view_at(10), tmp_path, "").align()


def test_a_picture_without_a_face_is_refused(photo):
    with pytest.raises(IdfError, match="No face was found"):
        GhostWalk(photo, np.full((64, 64, 3), 200, np.uint8))


def test_sizes_and_licenses_stand_there_before_anything_is_fetched(monkeypatch, clone):
    fetched = []
    monkeypatch.setattr(cells.download, "ensure",
                        lambda model, ask: fetched.append(model.name) or ask(model))
    panel = cells.FetchGhost()
    table = panel.table()
    for model in (SWAP_FILES["ghost"], *SWAP_FILES["ghost"].needs):
        assert model.license in table and cells.SIZES[model.name] in table
    assert not fetched and "not here yet" in panel.status.value
    panel._clicked(None)
    assert fetched == ["ghost"] and "GHOST is here" in panel.status.value
    monkeypatch.setenv("IDF_GHOST", str(clone))
    assert "GHOST is here" in cells.FetchGhost().status.value
