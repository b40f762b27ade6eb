"""The world of a tracked dataset: that of the bundled sequence, NeRFace's conventions."""

import numpy as np

DISTANCE = 0.5  # world units, of the camera from the head: NeRFace renders from 0.2 to 0.8
EXPRESSIONS_LONG = 76  # width built into NeRFace's networks; longer vectors keep their length
TO_WORLD = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # head's frame -> z up, face to -y
