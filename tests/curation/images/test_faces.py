"""Faces: found by what installs with OpenCV, blurred beyond recognition, and weights that are none are refused."""

import io

import numpy as np
import onnx
import pytest
from PIL import ExifTags, Image

from curation.images import faces
from curation.images.camera_trap import Boxes
from curation.sample import draw


def test_a_drawn_face_is_found_where_it_is_and_labels_and_flat_pictures_have_none():
    detector = faces.opened("haar", b"")
    shots = [draw.face(k) for k in range(10)]
    found = detector.detect(shots)
    assert sum(f.best > 0 for f in found) >= 4
    for f in found:
        assert f.boxes.shape == (len(f.scores), 4) and (f.boxes >= 0).all() and (f.boxes <= 1).all()
        if len(f.boxes):
            middle = (f.boxes[f.scores.argmax(), :2] + f.boxes[f.scores.argmax(), 2:]) / 2
            assert 0.2 < middle[0] < 0.8 and 0.2 < middle[1] < 0.8
    others = [draw.museum_label(3), draw.flat(2), Image.new("RGB", (5, 3))]
    assert [f.best for f in detector.detect(others)] == [0, 0, 0]


def test_a_face_is_found_at_any_shape_for_nothing_is_squashed():
    detector = faces.opened("haar", b"")
    face = next(draw.face(k) for k in range(20) if detector.detect([draw.face(k)])[0].best > 0.6)
    wide = Image.new("RGB", (face.width * 3, face.height), face.getpixel((2, 2)))
    wide.paste(face, (face.width, 0))
    (found,) = detector.detect([wide])
    assert found.best > 0.3 and 1 / 3 < found.boxes[found.scores.argmax(), 0] < 2 / 3


def _jpeg(image, artist=""):
    out, exif = io.BytesIO(), Image.Exif()
    if artist:
        exif[ExifTags.Base.Artist] = artist
    image.save(out, "JPEG", quality=90, exif=exif)
    return out.getvalue()


def test_a_blurred_face_is_gone_the_rest_stays_and_so_does_the_credit():
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    boxes = faces.as_text(Boxes(np.array([[0.25, 0.25, 0.5, 0.5], [0.7, 0.7, 0.9, 0.9]], np.float32), np.array([0.9, 0.3], np.float32)))  # fmt: skip
    data = _jpeg(image, "Ann")
    made = faces.blurred(data, boxes, 0.5, 90)
    shown = Image.open(io.BytesIO(made))
    old, new = (np.asarray(Image.open(io.BytesIO(d)), dtype=float) for d in (data, made))
    assert shown.size == image.size and shown.getexif()[ExifTags.Base.Artist] == "Ann"
    inside, below = (slice(30, 60), slice(40, 80)), (slice(90, 105), slice(115, 140))
    assert np.abs(np.diff(new[inside], axis=1)).mean() < 0.1 * np.abs(np.diff(old[inside], axis=1)).mean()  # fmt: skip
    assert np.abs(new[below] - old[below]).mean() < 12, "a box below the threshold stays as it was"
    assert faces.blurred(data, boxes, 0.5, 90) == made, "the same every time"


def _yunet_like() -> bytes:
    """A net with YuNet's twelve outputs that takes what is red for a face: cells of 8, 16 and 32 px, boxes of two cells."""
    h, init, nodes, outputs = onnx.helper, [], [], []

    def constant(name, values, kind=np.float32):
        init.append(onnx.numpy_helper.from_array(np.asarray(values, kind), name))

    redness = np.array([0, -1, 1], np.float32) / 255  # of blue, green, red
    constant("red", redness.reshape(1, 3, 1, 1))
    nodes += [h.make_node("Conv", ["input", "red"], ["redness"]), h.make_node("Relu", ["redness"], ["seen"])]  # fmt: skip
    for n in (8, 16, 32):
        nodes += [h.make_node("AveragePool", ["seen"], [f"pool{n}"], kernel_shape=[n, n], strides=[n, n])]  # fmt: skip
        for name, width, value in (("cls", 1, None), ("obj", 1, None), ("bbox", 4, [0, 0, np.log(2), np.log(2)]), ("kps", 10, [0] * 10)):  # fmt: skip
            constant(f"w_{name}_{n}", np.full((width, 1, 1, 1), 1 if value is None else 0))
            constant(f"b_{name}_{n}", [0] if value is None else value)
            constant(f"shape_{name}_{n}", [1, width, -1], np.int64)
            nodes += [
                h.make_node("Conv", [f"pool{n}", f"w_{name}_{n}", f"b_{name}_{n}"], [f"map_{name}_{n}"]),
                h.make_node("Reshape", [f"map_{name}_{n}", f"shape_{name}_{n}"], [f"flat_{name}_{n}"]),
                h.make_node("Transpose", [f"flat_{name}_{n}"], [f"{name}_{n}"], perm=[0, 2, 1]),
            ]  # fmt: skip
    for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        outputs += [h.make_tensor_value_info(f"{name}_{n}", onnx.TensorProto.FLOAT, [1, None, width]) for n in (8, 16, 32)]  # fmt: skip
    pictures = h.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = h.make_graph(nodes, "g", [pictures], outputs, init)
    opset = [h.make_opsetid("", 13)]
    return bytes(h.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def test_a_net_with_yunets_outputs_finds_what_it_looks_for_where_it_is_at_any_size():
    """Its own weights cannot be had here: what is shown is that boxes, scores and sides are read as OpenCV's class gives them."""
    detector = faces.opened("face.onnx", _yunet_like())
    plain, tall, huge = (Image.new("RGB", size, (90, 90, 90)) for size in ((320, 200), (200, 330), (2560, 1600)))  # fmt: skip
    for image, box in ((tall, (128, 256, 160, 288)), (huge, (1024, 512, 1152, 640))):
        image.paste((250, 20, 20), box)
    none, one, scaled = detector.detect([plain, tall, huge])
    assert none.best == 0 and none.boxes.shape == (0, 4)
    for found, (x0, y0, x1, y1), (width, height) in (
        (one, (128, 256, 160, 288), tall.size),
        (scaled, (1024, 512, 1152, 640), huge.size),
    ):
        assert found.best > 0.8
        sure = found.boxes[found.scores > 0.8]
        middles = (sure[:, :2] + sure[:, 2:]) / 2 * (width, height)
        slack = 0.02 * max(width, height)
        assert (middles > (x0 - slack, y0 - slack)).all() and (middles < (x1 + slack, y1 + slack)).all()  # fmt: skip


def test_boxes_are_kept_best_first_and_none_is_none():
    assert faces.as_text(Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))) is None
    found = Boxes(np.array([[0, 0, 0.1, 0.1], [0.2, 0.2, 0.4, 0.4]], np.float32), np.array([0.3, 0.8], np.float32))  # fmt: skip
    assert faces.as_text(found) == "[[0.2, 0.2, 0.4, 0.4, 0.8], [0.0, 0.0, 0.1, 0.1, 0.3]]"


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x08\x07" * 50])
def test_what_is_no_yunet_is_refused_with_what_to_use(data):
    with pytest.raises(ValueError, match=r"is no YuNet model .* use face_detection_yunet of OpenCV's model zoo, or 'haar'"):  # fmt: skip
        faces.opened("yunet.onnx", data)
