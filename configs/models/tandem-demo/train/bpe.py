"""Byte-level BPE: the tokenizer of the demo model, its trainer and its `tokenizer.json`.

The format is the one of the Qwen tokenizers, so that one C++ reader serves both: text is brought
to NFC, cut by the Qwen regex into pieces, each piece is UTF-8 bytes, and merges join neighbours,
lowest rank first. Ids: 256 byte tokens in the GPT-2 order, then one token a merge, then the three
special tokens at the end.

As a program: trains the tokenizer on the training split and writes tokenizer.json.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import Iterable

import regex

SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
PIECES = regex.compile(SPLIT)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_alphabet() -> list[tuple[int, str]]:
    """(byte, its visible character) in the order of GPT-2: printable bytes first."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return [(b, chr(b)) for b in plain] + [(b, chr(256 + i)) for i, b in enumerate(rest)]


ALPHABET = byte_alphabet()
ID_OF_BYTE = {byte: i for i, (byte, _) in enumerate(ALPHABET)}
BYTE_OF_CHAR = {char: byte for byte, char in ALPHABET}


def pieces(text: str) -> list[str]:
    """The text in NFC, cut by the Qwen regex; nothing is lost."""
    return PIECES.findall(unicodedata.normalize("NFC", text))


def train_merges(counts: Counter[str], n_merges: int) -> list[tuple[int, int]]:
    """The most frequent neighbour pair is joined, again and again.

    Pair counts are kept up to date and looked up through a heap with stale entries, so that a
    merge costs only the pieces that hold the pair. Equal counts: the pair with the lower ids.
    """
    words = [[ID_OF_BYTE[b] for b in piece.encode()] for piece in counts]
    weights = list(counts.values())
    pair_count: dict[tuple[int, int], int] = defaultdict(int)
    where: dict[tuple[int, int], set[int]] = defaultdict(set)
    for i, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pair_count[pair] += weights[i]
            where[pair].add(i)
    heap = [(-n, pair) for pair, n in pair_count.items()]
    heapq.heapify(heap)
    merges: list[tuple[int, int]] = []
    while len(merges) < n_merges and heap:
        n, pair = heapq.heappop(heap)
        if pair_count.get(pair, 0) != -n:
            continue  # stale: a later entry has the right count
        new = 256 + len(merges)
        merges.append(pair)
        changed: Counter[tuple[int, int]] = Counter()
        for i in where.pop(pair):
            word, weight = words[i], weights[i]
            for old in zip(word, word[1:]):
                changed[old] -= weight
            joined = apply_merge(word, pair, new)
            words[i] = joined
            for now in zip(joined, joined[1:]):
                changed[now] += weight
                where[now].add(i)
        del pair_count[pair]
        changed.pop(pair, None)
        for other, delta in changed.items():
            if delta:
                pair_count[other] += delta
                if pair_count[other] > 0:
                    heapq.heappush(heap, (-pair_count[other], other))
    return merges


def apply_merge(word: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """`word` with each `pair`, from the left, replaced by `new`."""
    out, i, end = [], 0, len(word)
    while i < end:
        if i + 1 < end and word[i] == pair[0] and word[i + 1] == pair[1]:
            out.append(new)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


class Tokenizer:
    """Text to ids and back. Text never becomes a special token: those are asked for by name."""

    def __init__(self, merges: list[tuple[int, int]]):
        self.merges = merges
        self.id_of_pair = {pair: 256 + i for i, pair in enumerate(merges)}
        self.bytes_of = [bytes([byte]) for byte, _ in ALPHABET]
        for left, right in merges:
            self.bytes_of.append(self.bytes_of[left] + self.bytes_of[right])
        self.special = {name: len(self.bytes_of) + i for i, name in enumerate(SPECIALS)}
        self.n_vocab = len(self.bytes_of) + len(SPECIALS)
        self.seen: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Ids of one run of plain text (what stands between two special tokens)."""
        return [i for piece in pieces(text) for i in self.encode_piece(piece)]

    def encode_piece(self, piece: str) -> list[int]:
        if piece in self.seen:
            return self.seen[piece]
        word = [ID_OF_BYTE[b] for b in piece.encode()]
        while len(word) > 1:
            best = min((self.id_of_pair.get(p, self.n_vocab), p) for p in zip(word, word[1:]))
            if best[0] == self.n_vocab:
                break
            word = apply_merge(word, best[1], best[0])
        self.seen[piece] = word
        return word

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids; special tokens are left out, broken UTF-8 becomes U+FFFD."""
        known = (self.bytes_of[i] for i in ids if i < len(self.bytes_of))
        return b"".join(known).decode("utf-8", "replace")

    def save(self, path: Path) -> None:
        """Writes a Hugging Face tokenizer.json, sections as in the Qwen tokenizers."""
        char = dict(ALPHABET)
        names = ["".join(char[b] for b in token) for token in self.bytes_of]
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
                      "use_regex": False}
        split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated",
                 "invert": False}
        added = [{"id": i, "content": name, "single_word": False, "lstrip": False,
                  "rstrip": False, "normalized": False, "special": True}
                 for name, i in self.special.items()]
        document = {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
            "post_processor": byte_level, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": "", "end_of_word_suffix": "",
                      "fuse_unk": False, "byte_fallback": False,
                      "vocab": {name: i for i, name in enumerate(names)},
                      "merges": [f"{names[a]} {names[b]}" for a, b in self.merges]},
        }
        path.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Tokenizer:
        model = json.loads(path.read_text(encoding="utf-8"))["model"]
        vocab = model["vocab"]
        pairs = [merge.split(" ") for merge in model["merges"]]
        return Tokenizer([(vocab[a], vocab[b]) for a, b in pairs])


def main() -> None:
    import data  # here, because data needs this module

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled data")
    parser.add_argument("--tasks", type=Path, default=data.TASKS, help="folder of the task files")
    parser.add_argument("--out", type=Path, required=True, help="the tokenizer.json to write")
    parser.add_argument("--vocab", type=int, default=8192, help="tokens in all (default 8192)")
    arguments = parser.parse_args()

    start = time.time()
    counts: Counter[str] = Counter()
    for text in data.training_texts(arguments.data):
        counts.update(pieces(text))
    for text in data.prompt_texts(arguments.tasks):
        counts.update({piece: 2000 for piece in pieces(text)})
    for word in data.label_words(arguments.tasks):
        counts[word] += 20000  # a label has to be one token
    counts = Counter({piece: n for piece, n in counts.items() if len(piece) < 60})
    print(f"{len(counts)} different pieces, {time.time() - start:.0f} s", file=sys.stderr)
    tokenizer = Tokenizer(train_merges(counts, arguments.vocab - 256 - len(SPECIALS)))
    tokenizer.save(arguments.out)
    print(f"{tokenizer.n_vocab} tokens, {time.time() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
