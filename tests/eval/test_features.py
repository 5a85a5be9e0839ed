"""Features: the model's own, found once, with what cannot be read told."""

import dataclasses
import hashlib

import imagehash
import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image

from eval import examples as sets
from eval import model as models
from eval.features import features, unit
from tests.drawings import photo
from training import create
from training.model import plain_state


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "set"
    for k in range(5):
        path = folder / f"class {k % 2}" / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(k).save(path, quality=92)
    return folder


def test_they_are_what_open_clips_own_pipeline_gives(pictures, model, tmp_path):
    found = features(model, sets.found(str(pictures)), tmp_path / "out", workers=1, batch=2)
    torch.manual_seed(0)
    net, _, preprocess = open_clip.create_model_and_transforms("tiny-vit", pretrained=None)
    files = [pictures / name for name in sets.found(str(pictures)).column("example")]
    with torch.no_grad():
        theirs = net.eval().encode_image(torch.stack([preprocess(Image.open(f)) for f in files]))
    assert np.abs(found.vectors - theirs.numpy()).max() < 1e-5
    assert found.pictures["md5"].to_pylist() == [
        hashlib.md5(f.read_bytes()).hexdigest() for f in files
    ]
    assert found.pictures["phash"].to_pylist() == [
        str(imagehash.phash(Image.open(f), 16)) for f in files
    ]


def test_a_backbone_of_timm_gives_its_pooled_features(pictures, tmp_path):
    backbone = models.opened("timm:vit_tiny_patch16_224:random")
    found = features(backbone, sets.found(str(pictures)), tmp_path, workers=0)
    torch.manual_seed(0)
    net = timm.create_model("vit_tiny_patch16_224", num_classes=0).eval()
    transform = timm.data.create_transform(
        **timm.data.resolve_model_data_config(net), is_training=False
    )
    files = [pictures / name for name in sets.found(str(pictures)).column("example")]
    with torch.no_grad():
        theirs = net(torch.stack([transform(Image.open(f).convert("RGB")) for f in files]))
    assert np.abs(found.vectors - theirs.numpy()).max() < 1e-4
    assert not backbone.has_text
    with pytest.raises(ValueError, match="no text tower"):
        backbone.text_features(["x"])


def test_they_are_found_once_for_the_same_pictures_and_weights(
    pictures, model, tmp_path, monkeypatch
):
    first = features(model, sets.found(str(pictures)), tmp_path, workers=0)
    monkeypatch.setattr(models.Model, "image_features", None)  # whoever asks again fails
    again = features(model, sets.found(str(pictures)), tmp_path, workers=0)
    assert np.array_equal(first.vectors, again.vectors)
    photo(9).save(pictures / "class 0" / "0.jpg")
    with pytest.raises(TypeError):
        features(model, sets.found(str(pictures)), tmp_path, workers=0)


def test_what_cannot_be_read_is_told_and_nothing_else_is_lost(pictures, model, tmp_path):
    (pictures / "class 0" / "0.jpg").write_bytes(b"<html>")
    found = features(model, sets.found(str(pictures)), tmp_path / "out", workers=0, batch=2)
    assert found.good.tolist() == [False, True, True, True, True]
    assert found.pictures["error"].to_pylist()[0]
    assert not found.vectors[0].any() and np.isfinite(found.unit()).all()
    for path in pictures.rglob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="not one of 5 pictures can be read"):
        features(model, sets.found(str(pictures)), tmp_path / "out", workers=0)


def test_features_that_are_not_finite_are_errors(pictures, model, tmp_path):
    class Overflows(torch.nn.Module):
        def forward(self, images):
            out = torch.ones(len(images), model.dim)
            out[0, 3] = float("inf")
            return out

    broken = dataclasses.replace(model, image_tower=Overflows(), digest="broken")
    found = features(broken, sets.found(str(pictures)), tmp_path / "out", workers=0)
    assert found.good.tolist() == [False, True, True, True, True]
    assert (
        "--precision fp32" in found.pictures["error"][0].as_py()
        and np.isfinite(found.vectors).all()
    )


def test_a_backbone_whose_head_widens_gives_what_it_gives(pictures, tmp_path):
    backbone = models.opened("timm:mobilenetv3_small_050:random")
    assert features(
        backbone, sets.found(str(pictures)), tmp_path / "out", workers=0
    ).vectors.shape == (5, backbone.dim)


@pytest.mark.parametrize(("name", "said"), [
    ("vit-b-32:random", "knows no architecture 'vit-b-32'"), ("ViT-B-32", "say which weights, one of .*openai.*random"),
    ("ViT-B-32:nothing", "say which weights"), ("local-dir:nowhere", "no open_clip_config.json"), ("timm:vit_tinny:random", "timm knows no model"),
    ("timm:vit_tiny_patch16_224:nowhere.bin", "is no file")])  # fmt: skip
def test_a_name_that_stands_for_no_model_says_what_would(name, said):
    with pytest.raises(ValueError, match=said):
        models.opened(name)


def test_weights_are_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"x": Bomb()}, tmp_path / "bomb.pt")
    for name in (
        f"tiny-vit:{tmp_path / 'bomb.pt'}",
        f"timm:vit_tiny_patch16_224:{tmp_path / 'bomb.pt'}",
    ):
        with pytest.raises(ValueError, match="cannot be opened"):
            models.opened(name)
    assert not (tmp_path / "owned").exists()


def test_a_run_that_was_not_exported_says_what_to_do(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match=r"python -m training\.export"):
        models.opened(str(tmp_path))
    with pytest.raises(ValueError, match="--precision 'int8'"):
        models.opened("tiny-vit:random", precision="int8")


def test_an_untrained_twin_has_the_same_eyes_and_other_weights(tmp_path):
    from safetensors.torch import save_file

    state = plain_state(create.model("tiny-vit", seed=7).state_dict())
    state = {name: value.contiguous() for name, value in state.items()}
    save_file(state, tmp_path / "weights.safetensors")
    name = f"tiny-vit:{tmp_path / 'weights.safetensors'}"
    own, twin = models.opened(name), models.opened(f"untrained:{name}")
    assert own.digest != twin.digest and own.seeing.text == twin.seeing.text and own.dim == twin.dim
    assert twin.digest == models.opened(f"untrained:{name}").digest, "the same chance each time"
    assert not models.opened("untrained:timm:vit_tiny_patch16_224:random").has_text


def test_pixels_tell_colours_contrasts_and_edges_apart(tmp_path):
    seen = models.opened("pixels")
    assert not seen.has_text
    flat = Image.new("RGB", (90, 60), (200, 30, 30))
    other = Image.new("RGB", (90, 60), (30, 30, 200))
    stripes = Image.fromarray(np.tile(np.repeat([[0, 255]], 8, axis=1).repeat(60, 0)[..., None], (1, 6, 3)).astype(np.uint8))  # fmt: skip
    squares = torch.from_numpy(np.stack([seen.seeing.see(i) for i in (flat, other, stripes, stripes.transpose(Image.Transpose.ROTATE_90))]))  # fmt: skip
    vectors = unit(seen.image_features(squares))
    assert vectors.shape == (4, seen.dim) and np.isfinite(vectors).all()
    alike = vectors @ vectors.T
    assert alike[0, 1] < 0.75, "other colours"
    assert 0.2 < alike[2, 3] < 0.95, "the same colours, other edges"
