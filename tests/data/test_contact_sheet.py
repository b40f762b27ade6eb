"""Sheets: every letter of a caption is drawn, wherever it does not fit beside others."""

from __future__ import annotations

import numpy as np
import pytest

from idf_helpers.data.contact_sheet import (
    BACKGROUND,
    INK,
    PAPER,
    before_after,
    contact_sheet,
    titled,
)
from idf_helpers.data.lettering import fitted, text_block, text_width, write_on

CAPTIONS = ("r_10, 40.2 dB", "the face of the target, bent toward the source's proportions",
            "Donaudampfschifffahrtsgesellschaft", "error × 4", "Σ α ≤ 1 → °")


@pytest.mark.parametrize("width", [24, 60, 130, 300])
@pytest.mark.parametrize("text", CAPTIONS)
def test_captions_are_wrapped_never_cut(text, width):
    lines, size = fitted(text, width, 13)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(text_width(line, size) <= width for line in lines) and size <= 13
    block = text_block(text, width + 8, 13, INK, PAPER).astype(int)
    ink = np.abs(block - PAPER).sum(2) > 60
    assert ink.any() and not ink[:, :2].any() and not ink[:, -2:].any() and not ink[-1].any()


def test_every_letter_has_a_shape_of_its_own():
    missing = text_block("\uffff", 30, 13, INK, PAPER)
    for letter in "×→°ΣαW²":
        assert not np.array_equal(text_block(letter, 30, 13, INK, PAPER), missing), letter


def test_text_is_legible_on_its_paper():
    def luminance(color):
        c = np.array(color) / 255
        return ((c + 0.055) / 1.055) ** 2.4 @ (0.2126, 0.7152, 0.0722)
    assert (luminance(INK) + 0.05) / (luminance(PAPER) + 0.05) >= 4.5


def test_rows_and_pictures_are_named_beside_them_not_over_them():
    red, blue = np.zeros((30, 60, 3), np.uint8), np.zeros((30, 60, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 255
    sheet = before_after([red, red], [blue, blue], 60, ["a caption of two lines", "b"],
                         ("picture", "render"))
    for color in ((255, 0, 0), (0, 0, 255)):
        there = np.argwhere((sheet == color).all(2))
        assert len(there) == 2 * 30 * 60  # whole, and nothing written on it
        assert np.ptp(there[:, 0]) == 29  # level, though only one caption has two lines
        left = there[:, 1].min()
        assert left > 40 and (sheet[there[:, 0].min():there[:, 0].max(), :left] > 180).any()
    assert not (sheet[-1] == 255).all()


def test_a_label_higher_than_its_row_is_whole_and_transparent_pictures_show_the_paper():
    clear = np.zeros((8, 40, 4), np.uint8)
    sheet = contact_sheet([clear, clear], 1, 40, rows=["a label of many words", "b"])
    block = text_block("a label of many words", sheet.shape[1] - 40, 9, INK, PAPER)
    assert np.array_equal(sheet[:len(block), :-40], block) and len(block) > 8
    assert (sheet[:, -40:] == PAPER).all()
    assert np.allclose(np.array(BACKGROUND) * 255, PAPER)


def test_a_line_is_written_where_it_is_asked_for_and_cut_by_nothing_but_the_rim():
    paper = np.zeros((40, 120, 3), np.uint8)
    write_on(paper, "driver", 10, 8, 14, (255, 0, 0))
    ink = np.argwhere(paper[..., 0] > 100)
    assert np.abs(ink.min(0) - (8, 10)).max() <= 1 and (paper[..., 1:] <= 1).all()
    for x, y in ((-5, 8), (115, 8), (10, -4), (10, 36), (-90, 8), (10, 80)):
        write_on(paper.copy(), "driver", x, y, 14, (255, 0, 0))
    shifted = np.zeros_like(paper)
    write_on(shifted, "driver", -5, 8, 14, (255, 0, 0))
    assert np.array_equal(shifted[:, :60], np.roll(paper, -15, 1)[:, :60])


def test_titles_stand_above_their_part_of_the_picture():
    out = titled(np.zeros((20, 101, 3), np.uint8), ("driver", "avatar"))
    head = len(out) - 20
    assert out.shape[1] == 101 and (out[head:] == 0).all()
    assert (out[:head, :50] > 180).any() and (out[:head, 50:] > 180).any()
