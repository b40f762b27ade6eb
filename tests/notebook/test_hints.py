"""What a notebook offers to fetch or to install, and what it folds away."""

import sys
import types

import pytest

from idf_helpers import IdfError
from idf_helpers.data import samples
from idf_helpers.notebook import gpu, widgets
from idf_helpers.notebook.fetch_panel import FetchPanel
from idf_helpers.notebook.training_panel import SplatPanel
from idf_helpers.runtime import download
from tests.fixtures.reporting import Notes


def text_of(widget) -> str:
    own = str(getattr(widget, "value", "")) + str(getattr(widget, "description", ""))
    return own + "".join(map(text_of, getattr(widget, "children", ())))


def test_a_gpu_that_is_not_used_gets_a_button(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "gpu_count", lambda: 1)
    monkeypatch.setattr(gpu.colab, "missing", lambda *names: list(names))
    asked = []
    monkeypatch.setattr(gpu.colab, "ensure", lambda *names: asked.extend(names))
    hint, = gpu.gpu_hint("splats")
    assert "gsplat" in text_of(hint) and "Apache-2.0" in text_of(hint) and not asked
    hint.children[1].click()
    assert asked == [gpu.PACKAGE] and "run this cell again" in text_of(hint)

    def refuse(*names):
        raise IdfError("not <added>", "", "check the network")

    monkeypatch.setattr(gpu.colab, "ensure", refuse)
    hint, = gpu.gpu_hint("splats")
    hint.children[1].click()
    assert "not &lt;added&gt;" in text_of(hint) and not hint.children[1].disabled
    panel = SplatPanel(samples.dataset("head_turntable"), out=tmp_path)
    assert "gsplat" in text_of(panel.box)
    assert gpu.gpu_hint("nerf") == []


def test_colab_without_a_gpu_says_where_one_is(monkeypatch):
    monkeypatch.setattr(gpu, "gpu_count", lambda: 0)
    assert gpu.gpu_hint("avatar") == []
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert "T4 GPU" in text_of(gpu.gpu_hint("avatar")[0])


def test_a_model_is_fetched_by_a_button_beside_its_license_and_size(monkeypatch):
    fetched, here = [], set()
    monkeypatch.setattr(download, "is_present", lambda model: model.name in here)

    def ensure(model):
        fetched.append(model.name)
        here.add(model.name)

    monkeypatch.setattr(download, "ensure", ensure)
    panel = FetchPanel("identity")
    assert "CC0-1.0" in panel.about.value and "13 MB" in panel.about.value
    assert "not here" in panel.about.value
    panel.choice.value = "ghost"
    for row in ("ghost_backbone", "ghost_code", "Apache"):
        assert row in panel.about.value
    assert fetched == []
    panel.button.click()
    assert fetched == ["ghost"] and "ghost is here" in panel.status.value

    def fails(model):
        raise IdfError("no network", "", "bring it by hand")

    monkeypatch.setattr(download, "ensure", fails)
    with pytest.raises(IdfError):
        panel.run()
    assert "bring it by hand" in panel.status.value


def test_what_cannot_run_here_is_folded():
    table = widgets.methods_table("swap")
    shown, folded = table._repr_html_().split("<details>")
    missing = [r["name"] for r in table.rows if r["missing"]]
    here = [r["name"] for r in table.rows if not r["missing"]]
    assert {"uv", "mesh"} <= set(here) and missing
    assert all(f"<td>{name}</td>" in shown for name in here)
    assert not any(f"<td>{name}</td>" in shown for name in missing)
    assert all(f"<td>{name}</td>" in folded for name in missing)


def test_a_place_on_the_page_follows_the_panel(monkeypatch, tmp_path):
    shown = []

    class Handle:
        def update(self, picture):
            shown.append(picture)

    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.extend(a) or Handle())
    panel = SplatPanel(samples.dataset("head_turntable"), out=tmp_path)
    count = iter(range(9))

    def picture():
        return samples.photo("BC"[next(count)])

    widgets.follow(panel, picture)
    panel.folder = tmp_path / "another"
    panel._follow()
    panel._follow()  # the same result
    assert len(shown) == 2 and shown[0].data != shown[1].data


def test_a_comparison_passes_on_what_the_trainings_report(tmp_path):
    from idf_helpers.notebook.comparison import compare_methods
    from idf_helpers.reconstruction.splats.config import SplatConfig

    told = Notes()
    compare_methods(samples.dataset("head_turntable"), tmp_path, ["splats:cpu"],
                    SplatConfig(iterations=5, resolution=32, initial=300), told)
    assert told.stages == ["splats cpu …"] and "measuring on held-out views" in told.steps
