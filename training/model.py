"""open_clip's towers with two image heads: one for biology, one for replay captions.

The replay head (BioCLIP 2, arXiv 2505.23883: "experience replay" with its own projector) shares the tower with the first
and starts as a copy of the pretrained projection. The wrapper takes the projection out of open_clip's tower by public
attributes, so that the tower returns what goes into it; `plain_state` puts it back, and open_clip loads it strictly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer, text_global_pool
from torch import nn

from training import text

N_NODES = 8  # of a taxon in the tree: seven ranks and what is below the species


class Features(NamedTuple):
    """Unit vectors of a batch, pictures and captions of each stream (n, D), and the scale of their cosines ()."""

    biology: torch.Tensor
    biology_text: torch.Tensor
    replay: torch.Tensor
    replay_text: torch.Tensor
    scale: torch.Tensor
    classifier: torch.Tensor  # (classes, D); (0,) without one


class TwoHeads(nn.Module):
    """An open_clip model and its second image head.

    `replay` False gives it one head, which then serves both streams. Where the tower is no VisionTransformer of
    open_clip, the first head is the tower's own end, and the replay head a square map (D, D) behind it that starts as
    the identity. Raises ValueError for CoCa, whose towers return more than an embedding.
    """

    clip: Any  # open_clip's CLIP or CustomTextCLIP
    classes: torch.Tensor | None

    def __init__(self, clip: nn.Module, *, replay: bool, width: int) -> None:
        super().__init__()
        if isinstance(clip, open_clip.CoCa):
            raise ValueError("CoCa models also write captions; choose a CLIP architecture")
        self.clip = clip
        self.proj: nn.Parameter | None = None
        if isinstance(clip.visual, VisionTransformer):
            self.proj, clip.visual.proj = clip.visual.proj, None
        start = torch.eye(width) if self.proj is None else self.proj.detach().clone()
        self.replay_proj = nn.Parameter(start) if replay else None
        self.classifier: nn.Parameter | None = None
        self.register_buffer("classes", None)
        if isinstance(bias := getattr(clip, "logit_bias", None), nn.Parameter):
            bias.requires_grad_(False)  # of sigmoid losses; ours has none

    def add_classifier(self, taxa: Sequence[Mapping[str, Any]]) -> None:
        """Classify pictures among taxa instead, for the ablation; `taxa` are rows of the dataset's table.

        Without a replay stream no caption is read any more, and the text tower stays as it is.
        """
        known = [[node for node in node_ids(row) if node] for row in taxa]
        classes = torch.tensor(sorted({nodes[-1] for nodes in known if nodes}))
        width = self.encode_text(torch.zeros(1, self.context_length, dtype=torch.long)).shape[1]
        self.classifier = nn.Parameter(torch.randn(len(classes), width) * width**-0.5)
        self.register_buffer("classes", classes)
        if self.replay_proj is None:
            images = set(self.clip.visual.parameters())
            for name, parameter in self.clip.named_parameters():
                parameter.requires_grad_(parameter in images or name == "logit_scale")

    @property
    def side_px(self) -> int:
        """Of the pictures it takes."""
        size = self.clip.visual.image_size
        return int(size if isinstance(size, int) else size[0])

    @property
    def context_length(self) -> int:
        """Tokens of a caption, at most."""
        return int(self.clip.context_length)

    def forward(self, images: torch.Tensor, n_replay: int, tokens: torch.Tensor) -> Features:
        """The features of pictures (n, 3, S, S), of which the last `n_replay` are replay, and of captions (m, L).

        The last `n_replay` captions are theirs; without captions of biology (m = n_replay), its text is empty.
        """
        pooled = self.clip.visual(images)
        n_biology = len(pooled) - n_replay
        biology = _through(pooled[:n_biology], self.proj)
        replay = _through(
            pooled[n_biology:], self.proj if self.replay_proj is None else self.replay_proj
        )
        words = self.encode_text(tokens) if len(tokens) else biology[:0]
        n_words = len(tokens) - n_replay
        both = (biology, words[:n_words], replay, words[n_words:])
        a, b, c, d = (F.normalize(features.float(), dim=-1) for features in both)
        classes = pooled.new_zeros(0) if self.classifier is None else self.classifier * 1.0
        return Features(a, b, c, d, self.logit_scale.exp(), classes)

    def encode_image(self, images: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """open_clip's own contract: pictures (n, 3, S, S) to (n, D), by the first head."""
        features = _through(self.clip.visual(images), self.proj)
        return F.normalize(features, dim=-1) if normalize else features

    def encode_text(self, tokens: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """Captions (n, L) to (n, D). L may be shorter than the context where `trims`; the result is the same."""
        clip = self.clip
        if isinstance(clip, open_clip.CustomTextCLIP):
            features = clip.encode_text(tokens)
        else:
            length = tokens.shape[1]
            dtype = clip.transformer.get_cast_dtype()
            x = clip.token_embedding(tokens).to(dtype) + clip.positional_embedding[:length].to(
                dtype
            )
            mask = None if clip.attn_mask is None else clip.attn_mask[:length, :length]
            x = clip.ln_final(clip.transformer(x, attn_mask=mask))
            x = text_global_pool(x, tokens, clip.text_pool_type, eos_token_id=clip.text_eos_id)
            features = clip.text_projection(x) if isinstance(clip.text_projection, nn.Linear) else (
                x if clip.text_projection is None else x @ clip.text_projection.to(x.dtype))  # fmt: skip
        return F.normalize(features, dim=-1) if normalize else features

    @property
    def trims(self) -> bool:
        """True when what follows a caption's end cannot reach its embedding: causal towers read at the end."""
        clip = self.clip
        return not isinstance(clip, open_clip.CustomTextCLIP) and clip.attn_mask is not None and (
            clip.text_pool_type in ("argmax", "eos"))  # fmt: skip

    @property
    def logit_scale(self) -> nn.Parameter:
        """Logarithm of the inverse temperature, shared by both losses."""
        scale: nn.Parameter = self.clip.logit_scale
        return scale

    def prepare(self, *, checkpointing: bool, compiled: bool) -> None:
        """Choose to recompute activations in the backward pass instead of keeping them, and to compile.

        Blocks are compiled one by one, which takes seconds where the whole takes minutes, as alike blocks share their
        graphs, and goes with shards and copies; the compiler then also sees to the recomputation, of what it needs only.
        """
        towers = (
            self.clip.visual,
            self.clip.text if hasattr(self.clip, "text") else self.clip.transformer,
        )
        parts = blocks(self) if all(blocks(tower) for tower in towers) else []
        if checkpointing and not (compiled and parts):
            self.clip.set_grad_checkpointing(True)
        if compiled:
            torch._dynamo.config.recompile_limit = (
                64  # lengths of captions, with and without gradients
            )
            torch._dynamo.config.optimize_ddp = False  # it cuts blocks, and keeps what lies there
            torch._functorch.config.activation_memory_budget = (
                0.0 if checkpointing and parts else 1.0
            )
            for part in parts or [self]:
                part.compile()

    def set_replay(self, weights: torch.Tensor) -> None:
        """Give the replay head these weights. Raises ValueError for another shape."""
        assert self.replay_proj is not None
        if self.replay_proj.shape != weights.shape:
            raise ValueError(
                f"the replay head in the weights is {tuple(weights.shape)}, the model's is {tuple(self.replay_proj.shape)}"
            )
        with torch.no_grad():
            self.replay_proj.copy_(weights)


def blocks(net: nn.Module) -> list[nn.Module]:
    """The layers that a tower repeats, each of both towers: what is sharded and compiled by itself."""
    listed = (m for m in net.modules() if isinstance(m, nn.ModuleList | nn.Sequential) and len(m))
    return [
        block
        for some in listed
        if type(some[0]).__name__.endswith(("Block", "Bottleneck"))
        for block in some
    ]


def node_ids(row: Mapping[str, Any]) -> list[int]:
    """A number for each of a row's nodes in the tree (`text.nodes`), 0 where it has none; N_NODES of them."""
    import xxhash

    names = text.nodes(row)
    return [
        0 if name is None else (xxhash.xxh3_64_intdigest(name.encode()) >> 1) or 1 for name in names
    ]


def normalised(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Pictures (n, 3, S, S) uint8 as floats of mean 0 and deviation 1 by channel."""
    shape = (1, 3, 1, 1)
    m = torch.tensor(mean, device=images.device).view(shape) * 255
    s = torch.tensor(std, device=images.device).view(shape) * 255
    return images.float().sub_(m).div_(s)


def trimmed(tokens: torch.Tensor, to: int = 8) -> torch.Tensor:
    """Captions (n, L) cut behind the longest, at a multiple of `to`; the end mark is each row's largest token."""
    longest = int(tokens.argmax(-1).max()) + 1
    return tokens[:, : min(tokens.shape[1], -(-longest // to) * to)]


def plain_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a TwoHeads under open_clip's own names, without the replay head; fp32."""
    made = {
        name.removeprefix("clip."): value
        for name, value in state.items()
        if name.startswith("clip.")
    }
    if "proj" in state:
        made["visual.proj"] = state["proj"]
    return {
        name: value.float() if value.is_floating_point() else value for name, value in made.items()
    }


def _through(pooled: torch.Tensor, proj: torch.Tensor | None) -> torch.Tensor:
    return pooled if proj is None else pooled @ proj.to(pooled.dtype)
