"""What stands before a face in a video is steady from frame to frame."""

import numpy as np

from idf_helpers.face.flat import SIZE
from idf_helpers.swapping.held import BYTES, held, packed, unpacked
from idf_helpers.swapping.occluders import KINDS, Hidden


def square(x, y=50, side=20, kinds=("object",)):
    flat = np.zeros((SIZE, SIZE), bool)
    flat[y:y + side, x:x + side] = True
    return Hidden(flat, kinds)


def rows(*frames):
    return np.stack([packed(f) for f in frames])


def steady(*frames, times=None, seen=None):
    n = len(frames)
    out = held(rows(*frames), np.arange(n) if times is None else np.asarray(times),
               np.ones(n, bool) if seen is None else np.asarray(seen))
    return [unpacked(row) for row in out]


def test_packing():
    noise = np.random.default_rng(0).random((SIZE, SIZE))
    hidden = Hidden(noise > 0.5, (KINDS[3], KINDS[0]), noise > 0.2)
    row = packed(hidden)
    assert row.shape == (BYTES,) and row.dtype == np.uint8
    back = unpacked(row)
    assert np.array_equal(back.maybe, hidden.maybe)
    assert np.array_equal(back.flat, hidden.flat) and set(back.kinds) == set(hidden.kinds)
    assert not packed(None).any() and unpacked(packed(None)).kinds == ()


def test_a_frame_that_misses_it_gets_it_from_its_neighbors():
    thing = square(40)
    out = steady(thing, thing, thing, None, thing, thing, thing)
    assert all(np.array_equal(o.flat, thing.flat) and o.kinds == ("object",) for o in out)


def test_what_one_frame_alone_shows_is_dropped():
    out = steady(None, None, None, square(40), None, None, None)
    assert not any(o.flat.any() or o.kinds for o in out)


def test_what_some_frames_are_sure_of_counts_where_it_may_be():
    thing = square(40)
    unsure = Hidden(np.zeros((SIZE, SIZE), bool), (), thing.flat)
    out = steady(*([thing, unsure, unsure] * 12))
    assert all(np.array_equal(o.flat, thing.flat) and o.kinds == ("object",) for o in out)
    rare = steady(*([unsure] * 20 + [thing] + [unsure] * 20))
    assert not any(o.flat.any() for o in rare)


def test_a_thing_that_moves_is_followed():
    frames = [square(20 + 3 * k) for k in range(12)]
    for given, out in zip(frames, steady(*frames), strict=True):
        assert out.flat[given.flat].all()  # never uncovered
        assert out.flat.sum() < 1.5 * given.flat.sum()


def test_a_frame_without_a_face_gets_its_neighbors():
    thing = square(40)
    out = steady(thing, thing, None, thing, thing, seen=[1, 1, 0, 1, 1])
    assert np.array_equal(out[2].flat, thing.flat)


def test_nothing_is_held_across_a_cut():
    frames = [square(40)] * 3 + [None] * 2
    assert steady(*frames)[3].flat.any()  # three of five frames show it
    assert not steady(*frames, times=[0, 1, 2, 1003, 1004])[3].flat.any()


def test_a_shaky_outline_is_calmed():
    rng = np.random.default_rng(1)
    frames = []
    for _ in range(30):
        flat = square(40, side=30).flat.copy()
        flat ^= (rng.random(flat.shape) < 0.2) & square(36, 46, 38).flat
        frames.append(Hidden(flat, ("hair",)))
    out = steady(*frames)
    def change(maps):
        return np.mean([(a.flat != b.flat).sum() for a, b in zip(maps, maps[1:], strict=False)])
    assert change(out) < 0.7 * change(frames)


def test_nothing_at_all():
    assert not held(rows(*[None] * 5), np.arange(5), np.ones(5, bool)).any()
