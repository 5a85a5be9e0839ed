"""Detectors of animals: whatever form their ONNX file has, what they find is the same; and the baseline without weights."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from curation.images import camera_trap
from curation.images.camera_trap import OnnxDetector
from curation.sample import draw
from curation.sample.naming import ALL_SPECIES

SIDE = 64
CLASSES = {0: "animal", 1: "person", 2: "vehicle"}


def model(rows, form, names=CLASSES, shape=(1, 3, SIDE, SIDE)):
    """ONNX bytes of a detector that finds `rows` (x0, y0, x1, y1, score, class; pixels of its input) in a bright picture.

    Scores are multiplied by the picture's mean, so that what it is shown matters.
    """
    rows = np.array(rows, dtype=np.float32).reshape(-1, 6)
    n = len(names)
    if form == "end":
        table, scored = rows.copy(), np.array([0, 0, 0, 0, 1, 0], dtype=np.float32)
    else:
        middle = np.column_stack([(rows[:, :2] + rows[:, 2:4]) / 2, rows[:, 2:4] - rows[:, :2]])
        hot = np.eye(n, dtype=np.float32)[rows[:, 5].astype(int)] * rows[:, 4:5]
        if form == "v5":
            table = np.column_stack([middle, np.ones(len(rows)), hot]).astype(np.float32)
            scored = np.array([0] * 5 + [1] * n, dtype=np.float32)
        else:
            table, scored = np.column_stack([middle, hot]).astype(np.float32), np.array([0] * 4 + [1] * n, dtype=np.float32)  # fmt: skip
        spare = np.zeros((max(0, 40 - len(table)), table.shape[1]), dtype=np.float32)
        table = np.concatenate([table, spare])  # tables of proposals are long
    if form == "v8":
        table, scored = table.T.copy(), scored[:, None]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["scored", "mean"], ["by_light"]),
        helper.make_node("Sub", ["one", "scored"], ["fixed"]),
        helper.make_node("Add", ["by_light", "fixed"], ["weights"]),
        helper.make_node("Mul", ["table", "weights"], ["output0"]),
    ]
    given = {"table": table[None], "scored": scored, "one": np.float32(1)}
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, list(table[None].shape))],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in given.items()])  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if names is not CLASSES or form != "end":
        entry = made.metadata_props.add()
        entry.key, entry.value = "names", str(names)
    return made.SerializeToString()


ROWS = [(16, 16, 32, 48, 0.9, 0), (17, 16, 33, 48, 0.6, 0), (40, 20, 60, 40, 0.8, 1), (2, 18, 10, 24, 0.3, 0)]  # fmt: skip


@pytest.mark.parametrize("form", ["end", "v5", "v8"])
def test_every_form_of_a_detector_gives_the_same_animals(form):
    detector = OnnxDetector(model(ROWS, form), "camera_trap")
    (found,) = detector.detect(
        [Image.new("RGB", (128, 64), "white")]
    )  # letterboxed into 64 × 32, 16 px from the top
    assert found.scores.tolist() == pytest.approx([0.9, 0.3], rel=0.35) and len(found.boxes) == 2
    assert found.boxes[0].tolist() == pytest.approx([0.25, 0.0, 0.5, 1.0], abs=1e-5)
    dark = detector.detect([Image.new("RGB", (128, 64), "black")])[0]
    assert dark.best < 0.5 * found.best, "a score is of the picture it was shown"


def test_people_are_no_animals_and_nothing_found_is_a_score_of_nought():
    detector = OnnxDetector(model([(40, 20, 60, 40, 0.8, 1)], "end"), "camera_trap")
    (found,) = detector.detect([Image.new("RGB", (64, 64), "white")])
    assert found.best == 0.0 and len(found.scores) == 0


def test_classes_may_stand_in_the_file_or_in_the_recipe():
    data = model([(1, 1, 9, 9, 0.9, 2)], "v8", names={0: "person", 1: "car", 2: "animal"})
    white = [Image.new("RGB", (64, 64), "white")]
    assert OnnxDetector(data, "camera_trap").detect(white)[0].best == pytest.approx(0.9)
    assert OnnxDetector(data, "camera_trap", ("person", "animal", "car")).detect(white)[0].best == 0
    with pytest.raises(ValueError, match=r"classes are person, car, deer, and none is 'animal'; state them as camera_trap\.classes"):  # fmt: skip
        OnnxDetector(data, "camera_trap", ("person", "car", "deer"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is no ONNX model that can be run"), (b"<html>404</html>", "is no ONNX model that can be run"),
        (model(ROWS, "v5")[:200], "is no ONNX model that can be run"),
        (model(ROWS, "end", shape=(1, 1, SIDE, SIDE)), r"one input of float pictures \(n, 3, height, width\)"),
    ],
)  # fmt: skip
def test_what_is_no_detector_is_refused_with_what_it_is(data, why):
    with pytest.raises(ValueError, match=why):
        OnnxDetector(data, "camera_trap")


def test_a_classifier_is_refused_with_the_outputs_it_has():
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["images"], ["logits"], axes=[2, 3], keepdims=0)], "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])])  # fmt: skip
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()  # fmt: skip
    with pytest.raises(ValueError, match=r"no output is a table of boxes of 3 classes .* it gives logits \(1, 3\), where \(1, n, 6\)"):  # fmt: skip
        OnnxDetector(data, "camera_trap")


def test_a_detector_of_other_classes_than_were_stated_is_refused():
    with pytest.raises(ValueError, match=r"no output is a table of boxes of 1 classes \(animal\)"):
        OnnxDetector(model(ROWS, "v5"), "camera_trap", ("animal",))


def test_suppression_is_that_of_the_brute_force_twin():
    rng = np.random.default_rng(0)
    for _ in range(30):
        low = rng.random((40, 2)).astype(np.float32) * 0.7
        boxes = np.column_stack([low, low + 0.1 + 0.2 * rng.random((40, 2)).astype(np.float32)])
        scores = rng.random(40).astype(np.float32)
        kept = []
        for i in sorted(range(40), key=lambda i: -scores[i]):
            if all(_overlap(boxes[i], boxes[j]) <= camera_trap.MAX_OVERLAP for j in kept):
                kept.append(i)
        assert camera_trap.suppressed(boxes, scores).tolist() == kept


def _overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, w) * max(0, h)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


LOOKS = draw.looks(ALL_SPECIES, seed=1)


def _frames(site, n_events, with_animal):
    """Three frames of each event of a site; the events in `with_animal` have one."""
    name, frames, events = list(LOOKS)[40], [], []
    for event in range(n_events):
        for k in range(3):
            shot = 10 * event + k
            frames.append(draw.camera_trap_frame(LOOKS[name], site, 5, shot) if event in with_animal else draw.empty_frame(site, shot))  # fmt: skip
            events.append(event)
    return frames, events


@pytest.mark.parametrize("site", [3, 8, 21])
def test_frames_with_an_animal_differ_from_the_deployments_other_events(site):
    scores = camera_trap.differences(*_frames(site, 5, {1}))
    animal, empty = scores[3:6], scores[:3] + scores[6:]
    assert min(animal) > max(empty) and min(animal) > 0.45


def test_a_single_event_is_not_judged_for_what_sits_still_in_it_would_vanish():
    frames, events = _frames(3, 1, {0})
    assert camera_trap.differences(frames, events) == [None] * 3
    assert camera_trap.differences([], []) == []
    odd = [Image.new("RGB", (200, 150)), Image.new("RGB", (150, 200))]
    assert camera_trap.differences(odd, [1, 2]) == [None, None], "nothing of the same shape"


@pytest.mark.real_data
def test_a_real_burst_is_one_event_though_a_heron_stands_still_in_most_of_it(real_data):
    files = sorted((real_data / "images/camera_trap_burst/media").glob("*.JPG"))
    frames = [Image.open(file).convert("RGB") for file in files]
    assert camera_trap.differences(frames, ["one"] * len(frames)) == [None] * 10
    apart = camera_trap.differences(frames, list(range(10)))
    assert max(apart[0], apart[-1]) > 0.9 and min(apart) < 0.3, "compared within the burst it would be lost"  # fmt: skip


def test_a_model_that_names_another_file_is_refused_for_nobody_has_hashed_that(tmp_path):
    made = onnx.load_from_string(model(ROWS, "v5"))
    onnx.save_model(made, tmp_path / "d.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)  # fmt: skip
    with pytest.raises(ValueError, match="keeps weights in other files; export it as one file"):
        OnnxDetector((tmp_path / "d.onnx").read_bytes(), "camera_trap")


def test_an_export_for_eight_pictures_at_a_time_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="export the detector to ONNX as one file, for one picture at a time"):  # fmt: skip
        OnnxDetector(model(ROWS, "v5", shape=(8, 3, SIDE, SIDE)), "camera_trap")
