"""The diagram that all notebooks share."""

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data.lettering import fitted
from idf_helpers.notebook.figures import pipeline as p


def test_the_notebook_that_one_is_in_stands_out():
    pictures = {here: p.pipeline_picture(here) for here in p.NOTEBOOKS}
    for here, picture in pictures.items():
        lit = np.argwhere((picture == p.HERE).all(2))[:, ::-1] / p.ZOOM
        box = p.BOXES[here]
        inside = (np.abs(lit - (box.x, box.y)) <= (box.width / 2 + 2, box.height / 2 + 2)).all(1)
        assert inside.mean() > 0.8 and inside.sum() > 0.5 * box.width * box.height
        word = lit[~inside]  # "you are here": below it, or to its left
        assert len(word) > 100 and ((word[:, 1] > box.y + box.height / 2).all()
                                    or (word[:, 0] < box.x - box.width / 2).all())
        assert (np.abs(word - (box.x, box.y)) < (180, 60)).all()
    with pytest.raises(IdfError, match="no such notebook"):
        p.pipeline_picture("06")


def test_every_text_fits_its_box_and_no_box_covers_another():
    boxes = list(p.BOXES.values())
    for box in boxes:
        lines, size = fitted(box.text, (box.width - 12 - box.aside) * p.ZOOM,
                             p.LETTERS * p.ZOOM)
        assert size == p.LETTERS * p.ZOOM and len(lines) * size * 1.3 <= box.height * p.ZOOM
        assert box.width / 2 <= box.x <= p.WIDTH - box.width / 2 and box.y < p.HEIGHT - 40
    for i, a in enumerate(boxes):
        for b in boxes[i + 1:]:
            assert abs(a.x - b.x) >= (a.width + b.width) / 2 \
                or abs(a.y - b.y) >= (a.height + b.height) / 2
