"""What a picture is called, as the model reads it: caption, tokens and nodes of the tree, made once per taxon."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from training import create, text
from training import model as models

N_KEPT = 50_000  # labels, and words, that are remembered; 60 MB of labels at most
MAX_CHARACTERS = 1000  # of a caption of the web: 77 tokens hold less

Said = (
    tuple[str | None, ...] | str | None
)  # a row's fields in the order of text.COLUMNS, or a caption


@dataclass(frozen=True)
class Words:
    """How captions are made: types to draw from (one per step), what stands for absent common names, the tokenizer."""

    types: tuple[str, ...]
    absent: str
    architecture: str
    seed: int

    def kind(self, step: int) -> str:
        """The caption type of a step: the same on every rank, drawn without touching anyone's random state."""
        return random.Random(f"{self.seed}:{step}").choice(self.types)


class Label(NamedTuple):
    """Of one picture."""

    caption: str
    tokens: NDArray[np.int32]  # (context,)
    id: int  # equal for equal tokens
    nodes: NDArray[np.int64]  # (N_NODES,), 0: none


class Labels:
    """Labels of rows and of captions; lives in a worker."""

    def __init__(self, words: Words) -> None:
        self._words, self._tokens = words, Tokens(words.architecture)
        self._known = dict[Any, Label]()
        self._no_nodes = np.zeros(models.N_NODES, dtype=np.int64)

    def of(self, said: Said, kind: str) -> Label:
        """The label of a row in a caption type, or of a caption as it is; an empty one where there is nothing to say."""
        if not isinstance(said, tuple):
            return self._made(str(said or "")[:MAX_CHARACTERS], self._no_nodes)
        key = (kind, said)
        if key not in self._known:
            if len(self._known) >= N_KEPT:
                self._known.clear()
            row = dict(zip(text.COLUMNS, said, strict=True))
            nodes = np.array(models.node_ids(row), dtype=np.int64)
            self._known[key] = self._made(text.caption(row, kind, self._words.absent), nodes)
        return self._known[key]

    def _made(self, caption: str, nodes: NDArray[np.int64]) -> Label:
        tokens = self._tokens.of(caption)
        return Label(caption, tokens, xxhash.xxh3_64_intdigest(tokens.tobytes()) >> 1, nodes)


class Tokens:
    """open_clip's tokenizer of an architecture, faster for plain captions.

    CLIP's byte pairs never cross a space, and what it mends in a text first (entities, encodings) is not found in
    printable ASCII without "&": there every word is tokenised once and remembered.
    """

    def __init__(self, architecture: str) -> None:
        import open_clip

        create.add_architectures()
        self._tokenizer: Any = open_clip.get_tokenizer(architecture)
        self._by_word = isinstance(self._tokenizer, open_clip.SimpleTokenizer) and (
            self._tokenizer.reduction_fn is None)  # fmt: skip
        self._words = dict[str, list[int]]()

    def of(self, caption: str) -> NDArray[np.int32]:
        """(context,) token ids, 0 behind the end."""
        if not (
            self._by_word and caption.isascii() and caption.isprintable() and "&" not in caption
        ):
            whole: NDArray[np.int32] = self._tokenizer([caption])[0].numpy().astype(np.int32)
            return whole
        length = self._tokenizer.context_length
        found = [self._tokenizer.sot_token_id]
        for word in caption.split():
            found += self._word(word)
        made = np.zeros(length, dtype=np.int32)
        found = [*found[: length - 1], self._tokenizer.eot_token_id]
        made[: len(found)] = found
        return made

    def _word(self, word: str) -> list[int]:
        known = self._words.get(word)
        if known is None:
            if len(self._words) >= N_KEPT:
                self._words.clear()
            known = self._words[word] = self._tokenizer.encode(word)
        return known
