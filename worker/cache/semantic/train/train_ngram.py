#!/usr/bin/env python3
"""Trains the n-gram embedder (worker/cache/semantic/ngram_embedder.h) and writes its file.

    python3 train_ngram.py --data ../shared/data --out ngram.tdng [--evaluation]

Input: pairs_zh.jsonl and pairs_en.jsonl, lines of {"a", "b", "same", "source"}. Needs numpy, nothing else. The same
input, options and numpy give the same file (one seed, no threads of our own). The terms of the data do not allow to
ship what was trained on it: the script is shipped, the file is made where the data is.

--held-out keeps that share of the pairs for figures, chosen by the CRC-32 of the lesser text; bench_semantic --held-out
measures on the same. --evaluation leaves out every pair with a text that occurs in faq_*, faq_stream_* or traps_* of the same folder, so
that figures on those files are of unseen texts. Without it, all pairs but the held-out ones are used.

Model: a text is the set of its n-grams, hashed into N_BUCKETS rows of a matrix [N_BUCKETS, DIM]; its vector is the
sum of the rows at unit length. Training: logistic loss of scale * (cosine - offset) on the labelled pairs, and on
random pairs as further different ones; Adam on the rows in use. Rows start as random signs times the n-gram's
-log(share of texts): what everybody says weighs little.

The file, little-endian: "TDNGRAM1", u32 buckets, u32 dim, u32 crc32 of all that follows, then per bucket a float32
scale, then per bucket dim int8: row = scale * int8.
"""
import argparse, json, struct, sys, unicodedata, zlib
from pathlib import Path

import numpy as np

N_BUCKETS, DIM, SEED = 1 << 15, 128, 20
EPOCHS, BATCH, RATE, PULL = 4, 512, 0.002, 0.02


# ---- text to n-grams: the same as in n_grams.cc, which tests hold together by recorded hashes ----

def folded(text):
    out = []
    for c in unicodedata.normalize("NFC", text):
        o = ord(c)
        if 0xFF01 <= o <= 0xFF5E: o -= 0xFEE0
        if o == 0x3000: o = 0x20
        if 0x41 <= o <= 0x5A or (0xC0 <= o <= 0xDE and o != 0xD7) or 0x391 <= o <= 0x3A9 or 0x410 <= o <= 0x42F: o += 32
        elif 0x400 <= o <= 0x40F: o += 80
        out.append(o)
    return out


def is_han(o): return 0x3400 <= o <= 0x4DBF or 0x4E00 <= o <= 0x9FFF or 0xF900 <= o <= 0xFAFF or 0x20000 <= o <= 0x3134F


def is_word(o):
    if o < 0x80: return 0x30 <= o <= 0x39 or 0x61 <= o <= 0x7A or 0x41 <= o <= 0x5A
    return not (o < 0xC0 or o in (0xD7, 0xF7) or 0x2000 <= o <= 0x2BFF or 0x3000 <= o <= 0x303F or 0xFE00 <= o <= 0xFE6F
                or 0xFF00 <= o <= 0xFFEF or 0xD800 <= o <= 0xF8FF or 0x1F000 <= o <= 0x1FAFF)


def tokens_of(text):
    tokens, word = [], ""
    def end():
        nonlocal word
        if word: tokens.append(word)
        word = ""
    for o in folded(text):
        if is_han(o):
            end()
            tokens.append(chr(o))
        elif is_word(o): word += chr(o)
        elif o in (0x27, 0x2019) and word: pass  # don't is one word
        else: end()
    end()
    return tokens


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h ^ (h >> 32)


_hashes = {}
def bucket(feature):
    found = _hashes.get(feature)
    if found is None: found = _hashes[feature] = fnv(feature) % N_BUCKETS
    return found


def buckets_of(text):
    tokens, found = tokens_of(text), set()
    for i, token in enumerate(tokens):
        found.add(bucket("1" + token))
        if i + 1 < len(tokens): found.add(bucket("2" + token + " " + tokens[i + 1]))
        if i + 2 < len(tokens) and len(token) == 1 and is_han(ord(token)):
            found.add(bucket("3" + token + " " + tokens[i + 1] + " " + tokens[i + 2]))
        if len(token) >= 4:
            padded = "<" + token + ">"
            for j in range(len(padded) - 3): found.add(bucket("4" + padded[j:j + 4]))
    return np.array(sorted(found), dtype=np.int32)


# ---- training ----

class Texts:
    """Texts as a ragged array of buckets."""
    def __init__(self):
        self.number, self.rows = {}, []

    def add(self, text):
        n = self.number.get(text)
        if n is None:
            n = self.number[text] = len(self.rows)
            self.rows.append(buckets_of(text))
        return n


def embed(rows, matrix):
    lengths = np.array([len(r) for r in rows])
    flat = np.concatenate(rows)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    sums = np.add.reduceat(matrix[flat], starts, axis=0)
    norms = np.sqrt((sums * sums).sum(1, keepdims=True)) + 1e-9
    return sums / norms, norms, flat, lengths


def auc(scores, labels):
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores)); ranks[order] = np.arange(1, len(scores) + 1)
    n1 = labels.sum(); n0 = len(labels) - n1
    return (ranks[labels == 1].sum() - n1 * (n1 + 1) / 2) / max(1, n1 * n0)


def cosines(pairs, texts, matrix):
    out = []
    for i in range(0, len(pairs), 2048):
        part = pairs[i:i + 2048]
        a = embed([texts.rows[p] for p in part[:, 0]], matrix)[0]
        b = embed([texts.rows[p] for p in part[:, 1]], matrix)[0]
        out.append((a * b).sum(1))
    return np.concatenate(out)


def report(name, pairs, texts, matrix, random):
    score, label = cosines(pairs, texts, matrix), pairs[:, 2]
    other = pairs.copy(); other[:, 1] = random.permutation(other[:, 1])
    far = cosines(other, texts, matrix)
    order = np.argsort(-score)
    wrong = np.cumsum(1 - label[order]) / np.arange(1, len(order) + 1)
    share = {d: (np.nonzero(wrong <= d)[0].max() + 1) / len(order) if (wrong <= d).any() else 0 for d in (0.02, 0.05, 0.1)}
    print(f"{name:28} auc {auc(score, label):.4f}  against random {auc(np.r_[score[label == 1], far], np.r_[np.ones(label.sum()), np.zeros(len(far))]):.4f}"
          f"  share above the lowest cut with at most 2/5/10 % wrong: " + " ".join(f"{share[d]:.3f}" for d in share), flush=True)


def main():
    options = argparse.ArgumentParser(description="Trains the n-gram embedder.")
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--evaluation", action="store_true")
    options.add_argument("--held-out", type=int, default=10, help="percent of the pairs that are not trained on")
    options.add_argument("--epochs", type=int, default=EPOCHS)
    options = options.parse_args()

    seen = set()
    if options.evaluation:
        for path in sorted(options.data.glob("faq*_*.jsonl")) + sorted(options.data.glob("traps_*.jsonl")):
            for row in map(json.loads, path.open()):
                for key in ("q", "text", "a", "b"): seen.add(row.get(key))
                seen.update(row.get("paraphrases", []))
    texts, train, held, left_out = Texts(), [], {}, 0
    for lang in ("zh", "en"):
        for row in map(json.loads, (options.data / f"pairs_{lang}.jsonl").open()):
            if row["a"] in seen or row["b"] in seen:
                left_out += 1
                continue
            pair = (texts.add(row["a"]), texts.add(row["b"]), int(row["same"]))
            if zlib.crc32(min(row["a"], row["b"]).encode()) % 100 < options.held_out: held.setdefault(row["source"], []).append(pair)
            else: train.append(pair)
    train = np.array([p for p in train if len(texts.rows[p[0]]) and len(texts.rows[p[1]])])
    held = {s: np.array([q for q in p if len(texts.rows[q[0]]) and len(texts.rows[q[1]])]) for s, p in held.items()}
    print(f"{len(train)} pairs to train on, {sum(map(len, held.values()))} held out, {left_out} left out; {len(texts.rows)} texts", flush=True)

    random = np.random.default_rng(SEED)
    counts = np.bincount(np.concatenate(texts.rows), minlength=N_BUCKETS)
    idf = np.log((1 + len(texts.rows)) / (1 + counts)).astype(np.float32)
    matrix = random.choice(np.float32([-1, 1]), (N_BUCKETS, DIM)) * (idf / idf.mean() / DIM ** 0.5)[:, None]
    before = matrix.copy()
    for s in sorted(held): report("start " + s, held[s], texts, matrix, np.random.default_rng(1))

    m, v = np.zeros_like(matrix), np.zeros_like(matrix)
    scale, offset, step = 8.0, 0.5, 0
    for epoch in range(options.epochs):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / options.epochs))
        order, total = random.permutation(len(train)), 0.0
        for i in range(0, len(order), BATCH):
            part = train[order[i:i + BATCH]]
            a, na, flat_a, len_a = embed([texts.rows[p] for p in part[:, 0]], matrix)
            b, nb, flat_b, len_b = embed([texts.rows[p] for p in part[:, 1]], matrix)
            turn = np.roll(np.arange(len(part)), 1 + int(random.integers(len(part) - 1))) if len(part) > 1 else np.arange(len(part))
            ga, gb = np.zeros_like(a), np.zeros_like(b)
            gs = go = 0.0
            for mate, label, weight in ((np.arange(len(part)), part[:, 2], 1.0), (turn, np.zeros(len(part)), 0.5)):
                cosine = (a * b[mate]).sum(1)
                p = 1 / (1 + np.exp(-scale * (cosine - offset)))
                total -= weight * np.log(np.where(label == 1, p, 1 - p) + 1e-9).sum()
                e = (weight * (p - label) / len(part)).astype(np.float32)
                ga += (e * scale)[:, None] * (b[mate] - cosine[:, None] * a)
                np.add.at(gb, mate, (e * scale)[:, None] * (a - cosine[:, None] * b[mate]))
                gs += float((e * (cosine - offset)).sum()); go -= float(scale * e.sum())
            flat = np.concatenate([flat_a, flat_b])
            rows = np.concatenate([np.repeat(ga / na, len_a, axis=0), np.repeat(gb / nb, len_b, axis=0)])
            order_f = np.argsort(flat, kind="stable")
            used, first = np.unique(flat[order_f], return_index=True)
            g = np.add.reduceat(rows[order_f], first, axis=0)
            step += 1
            m[used] = 0.9 * m[used] + 0.1 * g
            v[used] = 0.99 * v[used] + 0.01 * g * g
            matrix[used] -= rate * m[used] / (np.sqrt(v[used]) + 1e-6) + PULL * rate * (matrix[used] - before[used]) / 0.1
            scale -= 20 * rate * gs; offset -= rate * 0.1 * go
        every = np.concatenate([held[s] for s in sorted(held)])
        report(f"epoch {epoch + 1}", every, texts, matrix, np.random.default_rng(1))
        print(f"epoch {epoch + 1}: loss {total / len(train):.4f}, scale {scale:.2f}, offset {offset:.3f}", flush=True)
    for s in sorted(held): report("end " + s, held[s], texts, matrix, np.random.default_rng(1))

    scales = (np.abs(matrix).max(1) / 127).astype("<f4")
    rows = np.rint(matrix / np.maximum(scales, 1e-12)[:, None]).astype(np.int8)
    body = scales.tobytes() + rows.tobytes()
    options.out.write_bytes(b"TDNGRAM1" + struct.pack("<III", N_BUCKETS, DIM, zlib.crc32(body)) + body)
    print(f"{options.out}: {20 + len(body)} bytes")


if __name__ == "__main__":
    main()
