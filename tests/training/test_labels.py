"""What a picture is called, as the model reads it, is what open_clip's own tokenizer makes of its caption."""

import random
import string

import open_clip
import pytest

from training import labels, text

CAPTIONS = (
    "a photo of Animalia Chordata Mammalia Carnivora Felidae Puma concolor with common name Cougar.",
    "a photo of Salix × fragilis 'Bullata' with common name St. John's wort.",
    "a photo of Rosa &amp; Rubus; R&D &lt;b&gt; <start_of_text> x<end_of_text>y.",
    "don't  they're\tWE'LL   3.14159 'S 'll Ärger mÃ¼ll ﬁsh “quoted” \u200b naïve",
    "word " * 200,
    "Pneumonoultramicroscopicsilicovolcanoconiosis" * 9,
    "\x1b[31mred\x07 _under_score_ ~!@#$%^*()",
    ".",
    "",
)


def test_tokens_are_those_of_open_clip():
    ours, theirs = labels.Tokens("tiny-vit"), open_clip.get_tokenizer("tiny-vit")
    draw = random.Random(3)
    words = [
        "Puma",
        "concolor",
        "it's",
        "'s",
        "<start_of_text>",
        "3rd",
        "sp.",
        "cf.",
        "&",
        "é",
        "×",
    ]
    made = ["".join(draw.choices(string.printable, k=draw.randrange(60))) for _ in range(300)]
    made += [" ".join(draw.choices(words, k=draw.randrange(1, 40))) for _ in range(300)]
    for caption in (*CAPTIONS, *made, *CAPTIONS):
        assert ours.of(caption).tolist() == theirs([caption])[0].tolist(), caption


def test_labels_are_right_however_few_are_remembered(monkeypatch):
    monkeypatch.setattr(labels, "N_KEPT", 2)
    made = labels.Labels(labels.Words(text.TYPES, "omit", "tiny-vit", 0))
    rows = [tuple(f"Aus bus{k}" if c == "canonicalName" else None for c in text.COLUMNS) for k in range(5)]  # fmt: skip
    for row in rows * 2:
        for kind in text.ALL_TYPES:
            label = made.of(row, kind)
            assert label.caption == text.caption(dict(zip(text.COLUMNS, row, strict=True)), kind)
    assert len({made.of(row, "sci").id for row in rows}) == 5
    assert made.of(rows[0], "sci").id == made.of("a photo of Aus bus0.", "taxon").id


@pytest.mark.parametrize("said", [None, "", (None,) * len(text.COLUMNS)])
def test_where_there_is_nothing_to_say_the_caption_is_empty(said):
    label = labels.Labels(labels.Words(text.TYPES, "omit", "tiny-vit", 0)).of(said, "taxon_com")
    assert label.caption == "" and not label.nodes.any()
