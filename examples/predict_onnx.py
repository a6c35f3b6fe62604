"""Asks an exported model about images with ONNX Runtime and Pillow; nothing of Leadglass is needed.

    leadglass export --run RUN --out malignant.onnx
    pip install onnxruntime pillow numpy
    python predict_onnx.py malignant.onnx IMAGE ...

The model takes grey pixels from 0 to 1 as [rows, channels, height, width]. Images of another size are refused here: how they
are brought to size changes the answer, so do it as in training (leadglass predict does).
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def pixels(path, channels, height, width):
    image = Image.open(path)
    if (image.height, image.width) != (height, width):
        raise SystemExit(f"an image of {image.width} x {image.height}; the model takes {width} x {height}")
    if image.mode.startswith("I;16"):
        return np.repeat((np.asarray(image, np.float32) / 65535)[None], channels, axis=0)
    planes = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.float32) / 255
    return planes[None] if channels == 1 else planes.transpose(2, 0, 1)


def main(model, paths):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    targets = session.get_modelmeta().custom_metadata_map["targets"].split(",")
    given = session.get_inputs()[0]
    rows, channels, height, width = given.shape
    if rows != 1:
        raise SystemExit("export the model with --rows 1")
    for path in paths:
        feed = {given.name: pixels(path, channels, height, width)[None]}
        (probabilities,) = session.run(["probabilities"], feed)
        print(json.dumps(dict(zip(targets, map(float, probabilities[0])))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
