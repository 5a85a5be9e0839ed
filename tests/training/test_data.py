"""Pictures reach the trainer whole, in order, with the right words; what is broken is counted."""

import io
import itertools
import json
import random
import shutil
import tarfile

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageFilter

from tests.drawings import photo
from training import data, labels, pieces, reading, replay, text
from training.order import Order
from training.view import View


def words(*types, seed=0):
    return labels.Words(types or text.TYPES, "omit", "tiny-vit", seed)


def stream(place, batch=16, **how):
    order = Order(place.sizes, place.files, 3, 4)
    return data.Stream(place, order, View(64), words(), batch, piece=8, **how)


def first(made, n):
    """So many batches, the stream closed behind them."""
    found = list(itertools.islice(made, n))
    made.close()
    return found


@pytest.fixture(scope="module")
def place(sample):
    return reading.Published(str(sample))


@pytest.fixture(scope="module")
def rows(sample):
    files = sorted(sample.glob("data/*/*/train-*.parquet"))
    return {row["uuid"]: row for file in files for row in pq.read_table(file).to_pylist()}


def test_every_picture_comes_once_an_epoch_with_its_own_caption(place, rows):
    n = len(rows)
    batches = first(stream(place).batches(0, 0), -(-n // 16))
    uuids = [uuid for batch in batches for uuid in batch.uuids]
    assert sorted(uuids[:n]) == sorted(rows)
    for step, batch in enumerate(batches):
        kind = words().kind(step)
        assert batch.stop == 16 * (step + 1)
        assert batch.captions == [text.caption(rows[uuid], kind) for uuid in batch.uuids]
        assert batch.images.shape == (16, 3, 64, 64) and batch.valid.all() and not batch.errors
    tokens = open_clip.get_tokenizer("tiny-vit")(batches[0].captions)
    assert torch.equal(batches[0].tokens, tokens)
    same = batches[0].captions[0] == np.array(batches[0].captions)
    assert ((batches[0].ids[0] == batches[0].ids).numpy() == same).all()


def test_workers_ranks_and_a_later_start_change_nothing(place):
    alone = first(stream(place).batches(0, 0), 6)
    helped = first(stream(place, workers=2).batches(0, 0), 6)
    later = first(stream(place).batches(3, alone[2].stop), 3)
    ranks = [first(stream(place, rank=r, world=2).batches(0, 0), 6) for r in range(2)]
    for i, batch in enumerate(alone):
        for other in [helped[i], *([later[i - 3]] if i > 2 else [])]:
            assert other.uuids == batch.uuids and other.captions == batch.captions
            assert torch.equal(other.images, batch.images) and other.stop == batch.stop
        assert ranks[0][i].uuids + ranks[1][i].uuids == batch.uuids
        assert torch.equal(torch.cat([part[i].images for part in ranks]), batch.images)


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_whose_memory_goes_round_are_those_of_their_own_batch(place, workers):
    held = first(stream(place).batches(0, 0), 30)
    passing = stream(place, workers=workers).batches(0, 0)
    taken = set()
    for batch in held:
        new = next(passing)
        assert new.uuids == batch.uuids and torch.equal(new.images, batch.images)
        taken.add(new.images.data_ptr())
        del new
    passing.close()
    assert len(taken) < 15, "of 30 batches"


def test_too_little_shared_memory_is_told_with_the_remedy(place, monkeypatch):
    def refuse(size):
        raise RuntimeError("unable to allocate")

    monkeypatch.setattr(torch.UntypedStorage, "_new_shared", refuse)
    with pytest.raises(OSError, match="--shm-size"):
        next(stream(place, workers=1).batches(0, 0))


def test_one_caption_type_per_step_drawn_from_all_without_touching_the_global_random_state():
    random.seed(5)
    before = random.getstate()
    kinds = [words().kind(step) for step in range(2000)]
    assert random.getstate() == before
    assert all(0.16 < kinds.count(kind) / 2000 < 0.24 for kind in text.TYPES)
    assert words(seed=1).kind(7) == words(seed=1).kind(7)
    assert [words(seed=1).kind(s) for s in range(50)] != kinds[:50]


def jpeg(image, **how):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, **how)
    return out.getvalue()


@pytest.mark.parametrize("resize", ["squash", "shortest"])
@pytest.mark.parametrize("size", [(640, 480), (300, 500), (64, 64), (40, 30)])
def test_what_the_model_sees_is_what_the_exports_preprocessing_gives(resize, size):
    from open_clip.transform import PreprocessCfg, image_transform_v2

    picture = jpeg(photo(3).resize(size).filter(ImageFilter.GaussianBlur(12)))
    wanted = image_transform_v2(
        PreprocessCfg(size=64, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=resize), is_train=False
    )(Image.open(io.BytesIO(picture)))
    whole = View(64, resize, full_decode=True).see(picture).float() / 255
    fast = View(64, resize).see(picture).float() / 255
    rounding = (
        0.015 if resize == "shortest" else 0.002
    )  # there the cut is to whole pixels of the small picture
    assert (whole - wanted).abs().mean() < rounding, "within a level of Pillow's"
    assert (fast - wanted).abs().mean() < rounding + 0.005, "shrunk while decoding"


def test_training_crops_keep_the_share_of_the_picture_they_promise_and_differ():
    gradient = np.stack([np.tile(np.arange(256, dtype=np.uint8), (256, 1)), np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 256)),
                         np.zeros((256, 256), np.uint8)], -1)  # fmt: skip
    picture = jpeg(Image.fromarray(gradient), subsampling=0)
    view = View(64, scale=(0.5, 0.6), full_decode=True)
    shares = []
    for seed in range(60):
        seen = view.see(picture, random.Random(seed)).float()
        shares.append(
            float((seen[0].max() - seen[0].min()) * (seen[1].max() - seen[1].min())) / 255**2
        )
    assert min(shares) > 0.45 and max(shares) < 0.65 and np.std(shares) > 0.01
    same = [view.see(picture, random.Random(9)) for _ in range(2)]
    assert torch.equal(*same)
    flips = [View(64, flip=True, scale=(1, 1), ratio=(1, 1)).see(picture, random.Random(s))[0, 0, 0] > 128 for s in range(20)]  # fmt: skip
    assert 3 < sum(map(bool, flips)) < 17


def test_pictures_of_every_form_are_seen():
    for image, how in ((photo(1).convert("L"), "JPEG"), (photo(1).convert("CMYK"), "JPEG"), (photo(1).convert("RGBA"), "PNG"), (photo(1), "WEBP")):  # fmt: skip
        out = io.BytesIO()
        image.save(out, how)
        seen = View(32).see(out.getvalue())
        assert seen.shape == (3, 32, 32) and seen.float().std() > 5


def damaged(sample, folder):
    """The sample with a picture that is cut short, one that is none, and an empty one."""
    shutil.copytree(sample, folder, symlinks=False)
    file = sorted(folder.glob("data/*/*/train-*.parquet"))[0]
    table = pq.read_table(file)
    images = table["image"].to_pylist()
    images[0]["bytes"] = images[0]["bytes"][:300]
    images[1]["bytes"] = b"<html>no picture</html>"
    images[2]["bytes"] = b""
    column = pa.array(images, table.schema.field("image").type)
    pq.write_table(table.set_column(table.column_names.index("image"), table.schema.field("image"), column),
                   file, row_group_size=256)  # fmt: skip
    return folder, [uuid.as_py() for uuid in table["uuid"][:3]]


def test_a_picture_that_does_not_decode_is_counted_and_counts_for_nothing(sample, tmp_path):
    folder, bad = damaged(sample, tmp_path / "copy")
    made = reading.Published(str(folder))
    batches = first(stream(made).batches(0, 0), -(-int(made.sizes.sum()) // 16))
    lost = {
        uuid
        for batch in batches
        for uuid, good in zip(batch.uuids, batch.valid, strict=True)
        if not good
    }
    assert lost == set(bad)
    errors = [error for batch in batches for error in batch.errors]
    assert {error.partition(":")[0] for error in errors} == set(bad)
    assert any("not_an_image" in error for error in errors)


def test_a_damaged_row_group_is_counted_picture_by_picture(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "READ_WAIT_S", 0.0)
    shutil.copytree(sample, tmp_path / "copy")
    file = sorted((tmp_path / "copy").glob("data/*/*/train-*.parquet"))[0]
    footer = pq.read_metadata(file)
    start = footer.row_group(0).column(footer.row_group(0).num_columns // 4).data_page_offset
    raw = bytearray(file.read_bytes())
    raw[4 : len(raw) - 200_000] = bytes(len(raw) - 200_004)
    assert start
    file.write_bytes(raw)
    made = reading.Published(str(tmp_path / "copy"))
    batches = first(stream(made).batches(0, 0), -(-int(made.sizes.sum()) // 16))
    n_bad = sum(int((~batch.valid).sum()) for batch in batches)
    assert n_bad >= made.sizes[0] and all(
        batch.errors for batch in batches if not batch.valid.all()
    )


def pairs(n):
    return [(jpeg(photo(k)), f"caption number {k}") for k in range(n)]


def tars(folder, n=2, per=5, stats=True):
    folder.mkdir()
    made = pairs(n * per)
    for k in range(n):
        with tarfile.open(folder / f"{k:05d}.tar", "w") as out:
            for i, (image, caption) in enumerate(made[k * per : k * per + per]):
                for ending, content in (("jpg", image), ("txt", caption.encode()), ("json", b"{}")):
                    info = tarfile.TarInfo(f"{k:05d}{i:04d}.{ending}")
                    info.size = len(content)
                    out.addfile(info, io.BytesIO(content))
        if stats:
            (folder / f"{k:05d}_stats.json").write_text(
                json.dumps({"successes": per, "count": per + 3})
            )
            pq.write_table(pa.table({"caption": ["x"], "key": ["y"]}), folder / f"{k:05d}.parquet")
    return folder


def parquets(folder, nested):
    folder.mkdir()
    made = pairs(10)
    images = (
        [{"bytes": image, "path": None} for image, _ in made]
        if nested
        else [image for image, _ in made]
    )
    table = pa.table(
        {
            "image" if nested else "jpg": images,
            "caption" if nested else "text": [c for _, c in made],
        }
    )
    pq.write_table(table, folder / "a.parquet", row_group_size=4)
    return folder


@pytest.mark.parametrize(
    "kind", ["tar", "tar without statistics", "parquet", "parquet of plain bytes"]
)
def test_replay_pairs_are_read_from_tars_and_parquet(tmp_path, kind):
    folder = tars(tmp_path / "p", stats="without" not in kind) if "tar" in kind else parquets(tmp_path / "p", "plain" not in kind)  # fmt: skip
    made = replay.pairs(str(folder))
    assert made.sizes.sum() == 10
    batches = first(stream(made, batch=5).batches(0, 0), 4)
    seen = [
        (caption, image)
        for batch in batches
        for caption, image in zip(batch.captions, batch.images, strict=True)
    ]
    assert sorted(c for c, _ in seen[:10]) == sorted(c for c, _ in seen[10:]) == sorted(f"caption number {k}" for k in range(10))  # fmt: skip
    assert [c for c, _ in seen[:10]] != [c for c, _ in seen[10:]], (
        "the replay stream has epochs of its own"
    )
    for caption, image in seen:
        other = View(64).see(jpeg(photo(int(caption.split()[-1])))).float()
        assert (image.float() - other).abs().mean() < 40
    assert not any(batch.nodes.any() for batch in batches)


def test_places_that_hold_nothing_to_train_on_are_refused_with_a_hint(tmp_path, sample):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="neither a dataset"):
        replay.pairs(str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="no picture in its split 'nowhere'"):
        reading.Published(str(sample), "nowhere")
    (tmp_path / "odd").mkdir()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "odd" / "a.parquet")
    with pytest.raises(ValueError, match="no column image"):
        replay.pairs(str(tmp_path / "odd"))
    shutil.copytree(sample, tmp_path / "short")
    for file in (tmp_path / "short").glob("data/*/*/train-*.parquet"):
        pq.write_table(pq.read_table(file).drop(["vernacularName"]), file)
    with pytest.raises(ValueError, match="lacks the column 'vernacularName'"):
        reading.Published(str(tmp_path / "short"))


def test_rows_of_taxa_are_told_apart_without_reading_a_picture(place, rows):
    codes = place.taxon_codes()
    assert len(codes) == len(rows)
    named = {(row["kingdom"], row["canonicalName"]) for row in rows.values()}
    assert len(set(codes.tolist())) == len(named)


def test_held_out_pictures_come_once_over_all_ranks_in_equal_calls(sample):
    held = reading.Published(str(sample), "test")
    parts = [
        list(data.pictures(held, View(32), words(), "sci", batch=4, rank=r, world=3))
        for r in range(3)
    ]
    assert len({len(part) for part in parts}) == 1
    seen = [
        u for part in parts for b in part for u, good in zip(b.uuids, b.valid, strict=True) if good
    ]
    assert len(seen) == len(set(seen)) == held.sizes.sum()
    few = list(data.pictures(held, View(32), words(), "sci", batch=4, most=6))
    assert sum(len(batch.uuids) for batch in few) == min(6, int(held.sizes.sum()))
