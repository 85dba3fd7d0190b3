"""Checks the model folder: weights against a checkpoint, and this code against recorded outputs.

With --checkpoint: every exported tensor is the checkpoint's averaged weight, rounded to bf16.
With --golden: the tokenizer and the decoder of these scripts reproduce the recorded ids and logits
of the official implementation, so that what is trained here is what a Qwen2 engine computes.
Without either: shapes, file sizes, and that each label of the tasks is one token.
"""

from __future__ import annotations

import argparse
import json
import tomllib
import unicodedata
from pathlib import Path

import numpy as np
import torch

import data
import export
from bpe import Tokenizer
from model import Qwen2, Shape

FOLDER = Path(__file__).resolve().parents[1]


def check_folder(folder: Path) -> None:
    model, tokenizer = export.load(folder)
    n = sum(p.numel() for p in model.parameters())
    size = sum(p.stat().st_size for p in folder.iterdir() if p.is_file())
    print(f"{n} parameters, {tokenizer.n_vocab} tokens, folder {size / 1e6:.1f} MB")
    assert size <= 16e6, "the folder is limited to 16 MB"
    assert tokenizer.n_vocab == model.shape.n_vocab, "embedding rows are the tokenizer's tokens"
    assert len(set(tokenizer.bytes_of)) == len(tokenizer.bytes_of), "tokens are different"
    trained = {"sentiment", "sentiment-zh", "sentiment3", "intent"}
    for path in data.TASKS.glob("*.toml"):
        for label in tomllib.loads(path.read_text(encoding="utf-8"))["answer"].get("labels", []):
            n_tokens = len(tokenizer.encode(label["say"]))
            assert n_tokens == 1 or path.stem not in trained, f"{path.stem}: {label['say']} is {n_tokens} tokens"
    for text in ("你好，world! 1+1=2\n\n  é 👍", "".join(map(chr, range(1, 0x2000)))):
        decoded = tokenizer.decode(tokenizer.encode(text))
        assert decoded == unicodedata.normalize("NFC", text), "text survives encode and decode"


def check_checkpoint(folder: Path, checkpoint: Path) -> None:
    state = torch.load(checkpoint, map_location="cpu")
    model = Qwen2(Shape(**state["shape"]))
    for p, e in zip(model.parameters(), state["ema"]):
        p.data.copy_(e)
    stored = export.read_safetensors(folder / "model.safetensors")
    wanted = export.named_tensors(model)
    assert stored.keys() == wanted.keys(), "names are the same"
    for name, tensor in wanted.items():
        assert torch.equal(stored[name], tensor.bfloat16().float()), name
    print(f"{len(wanted)} tensors equal the checkpoint of step {state['step']}")


@torch.no_grad()
def check_golden(golden: Path, name: str = "qwen2-tiny-bf16") -> None:
    model, tokenizer = export.load(golden / "models" / name)
    raw = (golden / "golden" / f"{name}.safetensors").read_bytes()
    n_header = int.from_bytes(raw[:8], "little")
    header, worst = json.loads(raw[8:8 + n_header]), 0.0
    for i, case in enumerate(json.loads((golden / "golden" / f"{name}.json").read_text())["cases"]):
        if len(case["ids"]) > 2:  # some as prefix, the rest as row
            first, last = (8 + n_header + o for o in header[f"p{i}.last_logits"]["data_offsets"])
            wanted = torch.from_numpy(np.frombuffer(raw[first:last], "<f4").copy())
            hidden = model(torch.tensor(case["ids"][:2]), torch.tensor([case["ids"][2:]]))
            worst = max(worst, float((model.logits(hidden)[0, -1] - wanted).abs().max()))
    print(f"{name}: largest logit error {worst:.1e}")
    assert worst < 5e-4
    cases = json.loads((golden / "golden" / "tokenizer_tiny_bpe.json").read_text())["cases"]
    wrong = [c["case"] for c in cases if tokenizer.encode(c["text"]) != c.get("ids_plain", c["ids"])]
    print(f"tokenizer: {len(cases) - len(wrong)} of {len(cases)} texts as recorded")
    assert not wrong, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", type=Path, default=FOLDER, help="model folder (default: this one)")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint.pt that it was exported from")
    parser.add_argument("--golden", type=Path, help="folder with recorded outputs of tiny models")
    arguments = parser.parse_args()
    check_folder(arguments.model)
    if arguments.checkpoint:
        check_checkpoint(arguments.model, arguments.checkpoint)
    if arguments.golden:
        check_golden(arguments.golden)


if __name__ == "__main__":
    main()
