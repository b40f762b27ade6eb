"""Cuts and jumps of a clip."""

from __future__ import annotations

import numpy as np

from idf_helpers.tracking.takes import cuts, longest

from .clips import make_clip


def clip(count=30):
    return make_clip(count, noise=0.3)[0], np.random.default_rng(0).uniform(1, 3, count)


def test_a_clip_in_one_piece():
    points, change = clip()
    points[10:13] = np.nan
    change[14] = 12  # a quick gesture
    assert cuts(change, points, np.arange(30)) == []
    assert longest([], np.ones(30, bool)) == slice(0, 30)


def test_a_picture_that_changes_at_once():
    points, change = clip()
    change[12] = 40
    assert cuts(change, points, np.arange(30)) == [12]
    busy = change * 12  # all of it changes so much: no cut
    busy[12] = 40
    assert cuts(busy, points, np.arange(30)) == []
    assert cuts(np.full(30, np.nan), points, np.arange(30)) == []  # an earlier version's run


def test_a_face_that_jumps_closer_or_aside():
    points, change = clip()
    near = points.copy()
    near[18:] = (near[18:] - 160) * 1.25 + 160
    assert cuts(change, near, np.arange(30)) == [18]
    aside = points.copy()
    aside[9:, :, 0] += 150
    assert cuts(change, aside, np.arange(30)) == [9]
    slow = points * (1 + 0.02 * np.arange(30))[:, None, None]  # walks up to the camera
    assert cuts(change, slow, np.arange(30)) == []
    once = points.copy()
    once[15] = once[15] * 1.3  # a single wrong frame
    assert cuts(change, once, np.arange(30)) == []


def test_the_longest_take_is_that_with_most_faces():
    there = np.ones(30, bool)
    there[0:12] = False
    assert longest([16, 24], there) == slice(16, 24)
