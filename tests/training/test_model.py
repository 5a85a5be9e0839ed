"""Our towers are open_clip's, with a second head; what leaves them goes back into open_clip."""

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from tests.training.many import run_in
from training import create, distributed, flops, model

CAPTIONS = [
    "a photo of Puma concolor.",
    "a photo of Animalia Chordata Mammalia Carnivora Felidae Puma.",
]


def plain(architecture):
    create.add_architectures()
    return open_clip.create_model(architecture).eval()


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(1)
    return plain("tiny-vit")


@pytest.fixture
def weights(clip, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(clip.state_dict(), path)
    return path


@pytest.mark.parametrize("architecture", ["tiny-vit", "tiny-convnext"])
def test_both_heads_start_as_open_clips_own_encode_image(architecture, tmp_path):
    clip = plain(architecture)
    save_file(clip.state_dict(), tmp_path / "w.safetensors")
    made = create.model(architecture, str(tmp_path / "w.safetensors"), "copy").eval()
    images, tokens = torch.randn(4, 3, 48, 48), open_clip.get_tokenizer(architecture)(CAPTIONS)
    with torch.no_grad():
        wanted = clip.encode_image(images, normalize=True)
        assert torch.allclose(made.encode_image(images, normalize=True), wanted, atol=1e-6)
        found = made(images, 2, torch.cat([tokens, tokens]))
        assert torch.allclose(torch.cat([found.biology, found.replay]), wanted, atol=1e-5)
        words = clip.encode_text(tokens, normalize=True)
        assert torch.allclose(found.biology_text, words, atol=1e-5) and torch.allclose(found.replay_text, words, atol=1e-5)  # fmt: skip


def test_a_pretrained_tag_brings_its_weights(weights, clip, tmp_path, monkeypatch):
    """A tag as open_clip lists them, whose file lies on this disk instead of a server's."""
    listed = open_clip.pretrained._PRETRAINED
    entry = {**listed["ViT-B-32"]["laion2b_s34b_b79k"], "url": weights.as_uri(), "hf_hub": ""}
    monkeypatch.setitem(listed, "tiny-vit", {"ours_s1": entry})
    monkeypatch.setenv("HOME", str(tmp_path))
    made = create.model("tiny-vit", "ours_s1", "copy", seed=9).eval()
    images = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        assert torch.allclose(made.encode_image(images), clip.encode_image(images), atol=1e-5)
        assert torch.equal(made.replay_proj, clip.visual.proj)
    with pytest.raises(ValueError, match="did you mean 'ours_s1'"):
        create.model("tiny-vit", "ours_s2")


def test_captions_cut_behind_the_longest_give_the_same_vectors(clip):
    made = model.TwoHeads(plain("tiny-vit"), replay=False, width=128).eval()
    tokens = open_clip.get_tokenizer("tiny-vit")(
        [*CAPTIONS, "! ! !"]
    )  # "!" holds the token 0, as padding does
    short = model.trimmed(tokens)
    assert made.trims and short.shape[1] < 40 and short.shape[1] % 8 == 0
    with torch.no_grad():
        assert torch.allclose(made.encode_text(short), made.encode_text(tokens), atol=1e-5)


def test_one_head_serves_both_streams_where_there_is_no_second(clip):
    made = create.model("tiny-vit", "", "none").eval()
    assert made.replay_proj is None
    with torch.no_grad():
        images = torch.randn(1, 3, 48, 48)
        found = made(torch.cat([images, images]), 1, torch.zeros(2, 77, dtype=torch.long))
    assert torch.allclose(found.biology, found.replay)


def test_the_weights_go_back_into_open_clip_strictly_without_the_replay_head(weights, clip):
    made = create.model("tiny-vit", str(weights), "copy")
    with torch.no_grad():
        made.replay_proj.add_(1)
    other = plain("tiny-vit")
    other.load_state_dict(model.plain_state(made.state_dict()), strict=True)
    assert all(torch.equal(a, b) for a, b in zip(other.state_dict().values(), clip.state_dict().values(), strict=True))  # fmt: skip


def test_a_replay_head_in_the_weights_is_taken_by_our_name_and_the_originals(
    weights, clip, tmp_path
):
    for key in create.REPLAY_KEYS:
        save_file(
            {**clip.state_dict(), key: torch.full((128, 128), 2.0)}, tmp_path / "both.safetensors"
        )
        made = create.model("tiny-vit", str(tmp_path / "both.safetensors"), "weights")
        assert made.replay_proj is not None and made.replay_proj.mean() == 2


def test_what_does_not_exist_or_fit_is_told_with_the_remedy(weights, tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    (tmp_path / "pickle.pt").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    partly = {k: v for k, v in plain("tiny-vit").state_dict().items() if k != "visual.proj"}
    save_file(partly, tmp_path / "partly.safetensors")
    for args, hint in (
        (("tiny-vitt",), "did you mean 'tiny-vit'"),
        (("tiny-vit", str(weights), "weights"), 'replay_head = "copy"'),
        (("tiny-vit", "laion9b"), "no pretrained tag of tiny-vit; tiny-vit has none"),
        (("ViT-B-32", "laion2b_s34b_b79"), "did you mean 'laion2b_s34b_b79k'"),
        (("tiny-vit", str(tmp_path / "broken.safetensors")), "no file of weights"),
        (("tiny-vit", str(tmp_path / "pickle.pt")), "no file of weights"),
        (("tiny-vit", str(tmp_path / "partly.safetensors")), "lacks 'visual.proj'"),
        (("tiny-convnext", str(weights)), "lacks"),
        (("coca_ViT-B-32",), "CoCa"),
    ):
        with pytest.raises(ValueError, match=hint):
            create.model(*args)


def test_the_operations_of_a_pass_are_those_of_the_papers_model():
    made = create.model("ViT-B-32")
    picture, caption = flops.forward_flops(made, 224, 77)
    tokens, width, layers = 50, 768, 12
    linear = 24 * tokens * width**2 * layers + 2 * 49 * 3 * 32**2 * width + 2 * width * 512
    attention = 4 * tokens**2 * width * layers
    assert picture == pytest.approx(linear + attention, rel=0.02)
    assert caption == pytest.approx(
        12 * (24 * 77 * 512**2 + 4 * 77**2 * 512) + 2 * 512 * 512, rel=0.02
    )


def _kept_bytes(world, as_copies):
    """What a compiled, recomputing model keeps for its backward pass, by itself or as DDP's copy."""
    cfg = create.config_of("tiny-vit")
    cfg["vision_cfg"]["width"] = 256
    net = model.TwoHeads(open_clip.CLIP(**cfg), replay=False, width=cfg["embed_dim"]).train()
    net.prepare(checkpointing=True, compiled=True)
    copies = torch.nn.parallel.DistributedDataParallel
    called = copies(net, bucket_cap_mb=1.0) if as_copies else net  # a block is larger than that
    own = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (
            0 if storage.data_ptr() in own else storage.nbytes(),
            tensor,
        )
        return tensor

    tokens = open_clip.get_tokenizer("tiny-vit")(CAPTIONS * 4)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        made = called(torch.randn(8, 3, 48, 48), 0, tokens)
    assert made.biology.requires_grad
    return sum(n for n, _ in kept.values())


def test_copies_of_a_model_that_recomputes_keep_no_more_than_the_model():
    alone, copy = (run_in(1, _kept_bytes, as_copies)[0] for as_copies in (False, True))
    assert copy <= 1.1 * alone


def _steps(world):
    """Two steps of an architecture that has a bias for sigmoid losses."""
    clip = plain("tiny-vit")
    clip.logit_bias = torch.nn.Parameter(torch.tensor(-10.0))
    net = model.TwoHeads(clip, replay=False, width=128).train()
    called = distributed.wrapped(net, "ddp", [], [net.logit_scale], None)
    tokens = open_clip.get_tokenizer("tiny-vit")(CAPTIONS)
    for _ in range(2):
        made = called(torch.randn(2, 3, 48, 48), 0, tokens)
        (made.scale * (made.biology * made.biology_text).sum()).backward()
    return float(net.logit_scale.grad)


def test_a_bias_that_the_loss_has_no_use_for_stops_no_ranks():
    assert all(abs(slope) > 0 for slope in run_in(2, _steps))
