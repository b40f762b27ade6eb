"""The download that finding faces needs: MediaPipe's two small face models."""

from __future__ import annotations

from ..runtime.pins import ModelFile, Pin, Wheel

FACE_LANDMARKS = ModelFile(
    name="face_landmarks",
    purpose="finds a face and 468 points on it (swap, track)",
    license="Apache-2.0, Google MediaPipe",
    source=Wheel("mediapipe==0.10.21", "3.11", "manylinux_2_28_x86_64", 35_622_638),
    pins=(
        Pin("face_detection_short_range.tflite",
            "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8", 229_714,
            "mediapipe/modules/face_detection/face_detection_short_range.tflite"),
        Pin("face_landmark.tflite",
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814", 1_242_398,
            "mediapipe/modules/face_landmark/face_landmark.tflite"),
    ),
    env="IDF_FACE_MODELS")
