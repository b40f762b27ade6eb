"""The render script's own decisions, without Blender: what is asked, kept, refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import render_samples as script
import shots

from idf_helpers.data import media
from idf_helpers.errors import IdfError


def asked(tmp_path, *more):
    return script.arguments(["--pack", str(tmp_path / "pack"), "--out", str(tmp_path / "out"),
                             *more])


def test_defaults_are_those_of_the_set(tmp_path):
    a = asked(tmp_path, "--set", "head_talking")
    assert (a.size, a.spp, a.seed) == (256, 32, None)
    assert (a.poses / "transforms_train.json").is_file()  # the bundled one
    for bad in (("--size", "4"), ("--spp", "0")):
        with pytest.raises(IdfError, match="cannot be rendered"):
            asked(tmp_path, "--set", "head_talking", *bad)


def test_only_picks_pictures_by_pattern():
    shot = shots.Shot("test/r_3.png", "A", np.eye(4))
    assert script.wanted(shot, []) and script.wanted(shot, ["train/*", "test/r_3.png"])
    assert not script.wanted(shot, ["train/*"])


def test_a_folder_holds_one_kind_of_picture(tmp_path):
    a = asked(tmp_path, "--set", "head_turntable", "--spp", "16")
    folder = a.out / a.name
    script.check_settings(a, folder)
    script.check_settings(a, folder)  # going on is fine
    assert json.loads((folder / script.SETTINGS).read_text())["spp"] == 16
    with pytest.raises(IdfError, match="other settings"):
        script.check_settings(asked(tmp_path, "--set", "head_turntable"), folder)


def test_backgrounds(tmp_path):
    assert script.background(asked(tmp_path, "--set", "head_multiview"), tmp_path) is None
    assert script.background(asked(tmp_path, "--set", "source_photos"), tmp_path) == shots.GRAY
    a = asked(tmp_path, "--set", "head_talking")
    got = script.background(a, tmp_path / "same")
    np.testing.assert_array_equal(got, media.read_image(a.poses / "bg" / "00050.png"))
    a = asked(tmp_path, "--set", "head_talking", "--size", "64")
    assert script.background(a, tmp_path / "small").shape == (64, 64, 3)
    assert (tmp_path / "small" / "bg" / "00050.png").is_file()


def test_without_a_pack_there_is_one_clear_error(tmp_path, monkeypatch):
    with pytest.raises(IdfError, match="not a head pack"):
        script.render(asked(tmp_path, "--set", "head_multiview"))
    assert not (tmp_path / "out").exists()
