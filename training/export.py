"""Make a model that plain open_clip loads out of a training run, and publish it.

    python -m training.export treeoflife-data/runs/sample
    python -m training.export treeoflife-data/runs/sample --push ORG/MODEL --embeddings ORG/DATASET

The folder (RUN/export) holds open_clip's two files, the tokenizer's, a model card, the run, and `embeddings/`: the text
matrix (D, N) with its names, which pybioclip reads from the dataset's repository. It is loaded again, strictly, and must
give the run's own vectors before it counts as written. New repositories are private, unless --public.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


NAMES_PER_PASS = 256
TOLERANCE = 1e-4  # of a unit vector, between the run's model and the exported one


def export(run_dir: Path, target: Path, data: str = "") -> Path:
    """Write the newest checkpoint of a run as a folder for open_clip; `data` says where its dataset lies now.

    Raises ValueError when there is no whole checkpoint, or the dataset is not there, or another one.
    """
    import numpy as np
    from safetensors.torch import save_file

    from training import card, checkpoint, config, create, reading
    from training import model as models

    found = checkpoint.newest(run_dir / "checkpoints")
    if found is None:
        raise ValueError(f"{run_dir} has no whole checkpoint; train it first: python -m training.train --out {run_dir}")  # fmt: skip
    run = config.from_dict(found.state["run"], str(found.dir))
    place = reading.Published(data or run.data.place)
    if place.revision != found.state["revisions"]["data"]:
        raise ValueError(f"the run was trained on build {found.state['revisions']['data']}, {data or run.data.place} is {place.revision}; "
                         "name its dataset with --data")  # fmt: skip
    weights = found.tensors("ema") or found.tensors("weights")
    heads = "copy" if "replay_proj" in weights else "none"
    net = create.model(run.model.architecture, "", heads, side_px=run.image.side_px).eval()
    weights = {
        name: value for name, value in weights.items() if name not in ("classifier", "classes")
    }
    net.load_state_dict(weights)

    making = target.with_name(f".tmp-{target.name}")
    shutil.rmtree(making, ignore_errors=True)
    (making / "embeddings").mkdir(parents=True)
    plain = models.plain_state(weights)
    save_file({name: value.contiguous() for name, value in plain.items()}, making / "open_clip_model.safetensors", metadata={"format": "pt"})  # fmt: skip
    cfg = create.config_of(run.model.architecture, run.image.side_px)
    (making / "open_clip_model.safetensors").chmod(0o644)
    _write(making / "open_clip_config.json", {"model_cfg": cfg, "preprocess_cfg": found.state["preprocessing"]})  # fmt: skip
    _write(making / "run.json", {**found.state, "run": card.told(found.state["run"])})
    _tokenizer(making, run.model.architecture)
    _check(net, making)
    names, captions = species(place.taxa())
    matrix = text_matrix(net, captions, run.model.architecture)
    np.save(making / "embeddings" / "txt_emb_species.npy", matrix)
    (making / "embeddings" / "txt_emb_species.json").write_text(
        json.dumps(names, ensure_ascii=False)
    )
    (making / "README.md").write_text(card.card(run, found, run_dir, len(names)))
    shutil.rmtree(target, ignore_errors=True)
    os.replace(making, target)
    return target


def species(taxa: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[str]]:
    """Names in pybioclip's form, `[[kingdom … genus, epithet], common name]`, and the captions they are embedded by.

    One for each species with a kingdom, in the order of the tree; unknown ranks and common names are "".
    """
    from catalog.ranks import RANKS
    from training import text

    found: dict[tuple[str, ...], str] = {}
    for row in taxa:
        if not row["kingdom"] or not row["species"]:
            continue
        plain = {**row, "canonicalName": row["species"], "infraspecificEpithet": None}
        ranks = dict(text.lineage(plain))
        key = tuple(ranks.get(rank, "") for rank in RANKS)
        is_own = row["canonicalName"] == row["species"]
        if key not in found or (is_own and row["vernacularName"]):
            found[key] = (row["vernacularName"] if is_own else "") or found.get(key, "")
    names = [[list(key), common] for key, common in sorted(found.items())]
    captions = []
    for key, common in sorted(found.items()):
        row = dict(zip(RANKS, key, strict=True))
        row["species"] = f"{row['genus']} {row['species']}".strip()
        captions.append(text.caption({**row, "canonicalName": row["species"], "vernacularName": common}, "taxon_com"))  # fmt: skip
    return names, captions


def text_matrix(net: Any, captions: Sequence[str], architecture: str) -> NDArray[np.float32]:
    """The captions' unit vectors as columns, (D, N) float32."""
    import open_clip
    import torch
    from tqdm import tqdm

    from training.model import trimmed

    tokenizer = open_clip.get_tokenizer(architecture)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net.to(device)
    parts = []
    with torch.no_grad():
        for i in tqdm(range(0, len(captions), NAMES_PER_PASS), "names", leave=False, disable=None):
            tokens = tokenizer(list(captions[i : i + NAMES_PER_PASS]))
            words = net.encode_text(
                (trimmed(tokens) if net.trims else tokens).to(device), normalize=True
            )
            parts.append(words.float().cpu())
    net.to("cpu")
    if not parts:
        raise ValueError("the dataset has no species with a kingdom: there is no name to embed")
    found: NDArray[np.float32] = torch.cat(parts).T.contiguous().numpy()
    return found


def push(folder: Path, repo: str, embeddings: str = "", *, public: bool = False) -> list[str]:
    """Send a model folder to a model repository, and its text matrix to a dataset repository; return the addresses.

    Raises ValueError when the Hub refuses.
    """
    import httpx2  # huggingface_hub's own transport
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api, sent = HfApi(), []
    card = folder / "README.md"
    card.write_text(card.read_text().replace(f"local-dir:{folder}", f"hf-hub:{repo}"))
    try:
        sent.append(str(api.create_repo(repo, private=not public, exist_ok=True)))
        api.upload_folder(repo_id=repo, folder_path=folder, ignore_patterns=["embeddings/*"])
        if embeddings:
            api.upload_folder(repo_id=embeddings, repo_type="dataset", folder_path=folder / "embeddings",
                              path_in_repo="embeddings")  # fmt: skip
            sent.append(f"{embeddings}: embeddings/")
    except (HfHubHTTPError, HFValidationError, httpx2.TransportError, OSError) as error:
        raise ValueError(f"the Hub refused: {str(error).partition(chr(10))[0]}; see `hf auth login`, HF_TOKEN, HF_ENDPOINT") from error  # fmt: skip
    return sent


def _check(net: Any, folder: Path) -> None:
    """Load the folder as anyone would, strictly, and compare its vectors with the run's."""
    import open_clip
    import torch

    other = open_clip.create_model(f"local-dir:{folder}").eval()
    side = other.visual.image_size if isinstance(other.visual.image_size, int) else other.visual.image_size[0]  # fmt: skip
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a photo of Puma concolor.", "x"])
    with torch.no_grad():
        for ours, theirs in ((net.encode_image(images, normalize=True), other.encode_image(images, normalize=True)),
                             (net.encode_text(tokens, normalize=True), other.encode_text(tokens, normalize=True))):  # fmt: skip
            far = float((ours - theirs).abs().max())
            assert far < TOLERANCE, f"the exported model gives other vectors, by {far}"


def _tokenizer(folder: Path, architecture: str) -> None:
    """CLIP's tokenizer as files for other libraries; open_clip itself needs none."""
    import open_clip
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = open_clip.get_tokenizer(architecture)
    if not isinstance(tokenizer, SimpleTokenizer):
        return
    merges = [" ".join(pair) for pair, _ in sorted(tokenizer.bpe_ranks.items(), key=lambda item: item[1])]  # fmt: skip
    words = {_plain_word(word): number for word, number in tokenizer.encoder.items()}
    _write(folder / "vocab.json", words)
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8"
    )
    start, end = "<|startoftext|>", "<|endoftext|>"
    marks = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": "!"}
    _write(folder / "special_tokens_map.json", marks)
    _write(folder / "tokenizer_config.json", {**marks, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True,
                                              "model_max_length": tokenizer.context_length})  # fmt: skip
    added = [{"id": words[mark], "content": mark, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for mark in (start, end)]  # fmt: skip
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    _write(folder / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]},
        "post_processor": {"type": "RobertaProcessing", "sep": [end, words[end]], "cls": [start, words[start]],
                           "trim_offsets": False, "add_prefix_space": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": end, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "</w>", "fuse_unk": False, "byte_fallback": False, "vocab": words, "merges": merges},
    })  # fmt: skip


def _plain_word(word: str) -> str:
    """open_clip names its marks otherwise than the rest of the world."""
    return {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}.get(word, word)


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    from catalog import terminal

    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("run", metavar="RUN", help="folder of a training run")
    parser.add_argument("--data", default="", metavar="PLACE", help="where its dataset lies now")
    parser.add_argument(
        "--push", default="", metavar="ORG/NAME", help="send it to this model repository"
    )
    parser.add_argument("--embeddings", default="", metavar="ORG/NAME", help="and the text matrix to this dataset repository")  # fmt: skip
    parser.add_argument("--public", action="store_true", help="a new repository is public")
    args = parser.parse_args(argv)
    try:
        if args.embeddings and not args.push:
            raise ValueError("--embeddings goes with --push")
        made = export(Path(args.run), Path(args.run) / "export", args.data)
        terminal.tell(f'{made}: open_clip.create_model_and_transforms("local-dir:{made}")')
        if args.push:
            for address in push(made, args.push, args.embeddings, public=args.public):
                terminal.tell(address)
    except ValueError as error:
        terminal.error(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
