"""Training rows: the labelled data in the prompts that the task files render.

A row is what follows a task's system prompt: user text, answer, end. Which text is held out is
decided by a hash of the normalised text (for conversations: of the conversation's id, which is
the same for both languages of a parallel one), so that every figure is of texts not trained on.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import tomllib
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Iterator

from bpe import Tokenizer
from small_talk import REVIEW_REPLIES, SMALL_TALK

TASKS = Path(__file__).resolve().parents[3] / "tasks"
HELD_OUT_PERMILLE = 60
TEXT_TOKENS_MAX = 192  # longer ones lose their middle in training; p95 is about 130

EMOTIONS = {"happiness": "Positive", "anger": "Negative", "disgust": "Negative",
            "sadness": "Negative", "fear": "Negative", "none": "Neutral"}
ASKS = re.compile(r"[?？吗呢么]$|什么|怎么|多少|^(what|how|why|which|who|where|when|is|are|do|does|can) ")


@dataclass
class Sample:
    """One conversation of one task: turns are user, assistant, user, ..., assistant."""

    task: str
    turns: list[str]
    source: str
    lang: str
    key: str = ""  # what decides whether it is held out, if not the first text


@dataclass
class Row:
    """`ids` follow the task's prefix. `kind` of a position: 0 none, 1 answer, 2 user's text; it
    says what the token AT the position is, so the loss is taken one position earlier."""

    task: str
    ids: list[int]
    kind: bytes


def held_out(key: str) -> bool:
    """True for the 6 % of texts kept for figures. Case, width and punctuation don't count."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", key).lower() if c.isalnum())
    return int(hashlib.sha1(plain.encode()).hexdigest()[:8], 16) % 1000 < HELD_OUT_PERMILLE


def read(path: Path) -> list[dict]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def tidy_en(text: str) -> str:
    """Undoes the spaced punctuation of tokenised English corpora: "No , it ' s" -> "No, it's"."""
    text = text.replace("’", "'").replace("` ` ", '"').replace(" ' '", '"')
    text = re.sub(r"\s+([.,!?;:%)])", r"\1", text)
    text = re.sub(r"\s+'\s*(s|t|re|ve|m|ll|d)\b", r"'\1", text, flags=re.I)
    text = re.sub(r"(\w)\s+n't\b", r"\1n't", text)
    text = re.sub(r"([.!?,])(?=[A-Za-z])(?<!\w\.\w)", r"\1 ", text) if " " in text else text
    return re.sub(r"\s+", " ", text).strip()


def tidy(text: str, lang: str) -> str:
    return tidy_en(text) if lang == "en" else text


@lru_cache
def systems(folder: Path = TASKS) -> dict[str, str]:
    """Task name -> its system prompt."""
    return {p.stem: tomllib.loads(p.read_text(encoding="utf-8"))["prompt"]["system"]
            for p in sorted(folder.glob("*.toml"))}


def prompt_texts(folder: Path) -> Iterator[str]:
    for system in systems(folder).values():
        yield from (f"system\n{system}", "user\n", "assistant\n")


def label_words(folder: Path) -> list[str]:
    words = set()
    for path in folder.glob("*.toml"):
        answer = tomllib.loads(path.read_text(encoding="utf-8"))["answer"]
        words |= {label["say"] for label in answer.get("labels", [])}
    return sorted(words)


def training_texts(folder: Path) -> Iterator[str]:
    """What the tokenizer is trained on: every text of the training split, once."""
    for name in ("sentiment_zh", "sentiment_en"):
        yield from (r["text"] for r in read(folder / f"{name}.jsonl") if not held_out(r["text"]))
    for lang in ("zh", "en"):
        for r in read(folder / f"dialogs_{lang}.jsonl"):
            if not held_out(r["id"]):
                yield from (tidy(turn, lang) for turn in r["turns"])
    for user, replies, _ in SMALL_TALK:
        yield from (*user, *replies)


def sentiment_samples(folder: Path) -> Iterator[Sample]:
    """Reviews and tweets, each in the prompt of its language and in the three-way prompt."""
    rng = random.Random(1)
    for lang, own, other in (("zh", "sentiment-zh", "sentiment"), ("en", "sentiment", "sentiment-zh")):
        for r in read(folder / f"sentiment_{lang}.jsonl"):
            label, source, text = r["label"].capitalize(), r["source"], r["text"]
            if label != "Neutral":
                yield Sample(own, [text, label], source, lang)
                if rng.random() < 0.10:  # the other language's prompt should not surprise it
                    yield Sample(other, [text, label], source + "/other-prompt", lang)
                if source.startswith(("sst2", "rt")) and rng.random() < 0.4:
                    natural = tidy_en(text)
                    yield Sample(own, [natural[:1].upper() + natural[1:], label], source + "/tidied", lang)
                if rng.random() < 0.5:
                    yield Sample("sentiment3", [text, label], source, lang)
            else:
                yield Sample("sentiment3", [text, label], source, lang)


def emotion_samples(folder: Path) -> Iterator[Sample]:
    """Turns of labelled conversations: everyday speech, which the reviews lack."""
    rng = random.Random(2)
    for lang, own in (("zh", "sentiment-zh"), ("en", "sentiment")):
        for r in read(folder / f"dialogs_{lang}.jsonl"):
            for turn, emotion in zip(r["turns"], r.get("emotion") or []):
                label, text = EMOTIONS.get(emotion), tidy(turn, lang)
                if label is None or held_out(r["id"]) != held_out(text):
                    continue  # on the wrong side by one of its two keys: not used at all
                if label == "Neutral":
                    if rng.random() < 0.35 and len(text) > 5:
                        yield Sample("sentiment3", [text, label], "emotion", lang)
                else:
                    yield Sample(own, [text, label], "emotion", lang)
                    yield Sample("sentiment3", [text, label], "emotion", lang)


def plain_samples(folder: Path) -> Iterator[Sample]:
    """Questions and news lines take no side: neutral. Also the weak labels of `intent`."""
    rng = random.Random(3)
    for lang in ("zh", "en"):
        for r in read(folder / f"pairs_{lang}.jsonl"):
            text, source = r["a"], r["source"]
            if source in ("lcqmc", "quora", "oppo_xiaobu", "msrp", "pawsx_zh", "clinc150_intent"):
                if rng.random() < 0.08:
                    yield Sample("sentiment3", [text, "Neutral"], "pairs", lang)
            asks = ASKS.search(text.lower())
            if source in ("lcqmc", "quora") and asks and rng.random() < 0.2:
                yield Sample("intent", [text, "question"], source, lang)
            if source in ("oppo_xiaobu", "clinc150_intent") and not asks and rng.random() < 0.6:
                yield Sample("intent", [text, "request"], source, lang)
        for r in read(folder / f"sentiment_{lang}.jsonl"):
            if rng.random() < 0.06 and r["label"] != "neutral" and r["source"] != "sst2_train":
                name = "praise" if r["label"] == "positive" else "complaint"
                yield Sample("intent", [r["text"], name], r["source"], lang)
        for r in read(folder / f"chat_{lang}.jsonl"):
            text = tidy(r["q"], lang)
            if r["source"] == "xdailydialog" and not re.search(r"[?？]", text) and rng.random() < 0.15:
                yield Sample("intent", [text, "chat"], r["source"], lang)


def reply_samples(folder: Path) -> Iterator[Sample]:
    """Question and answer pairs, windows of longer conversations, and small talk many times."""
    rng = random.Random(4)
    keep = {"xdailydialog": 1.0, "self_dialogue": 0.35, "chatterbot_corpus": 1.0,
            "kdconv_film": 0.2, "kdconv_music": 0.2, "kdconv_travel": 0.3}
    for lang in ("zh", "en"):
        for r in read(folder / f"chat_{lang}.jsonl"):
            if rng.random() < keep[r["source"]]:
                turns = [tidy(r["q"], lang), tidy(r["a"], lang)]
                sample = Sample("reply", turns, r["source"], lang, key=r["dialog"])
                yield from [sample] * (2 if r["source"] == "chatterbot_corpus" else 1)
        for r in read(folder / f"dialogs_{lang}.jsonl"):
            turns = [tidy(turn, lang) for turn in r["turns"]]
            for first in range(rng.randrange(2), len(turns) - 3, 6):
                window = turns[first:first + rng.choice((4, 6))]
                if rng.random() < min(1.0, 2 * keep[r["source"]]):
                    window = window[:len(window) // 2 * 2]
                    yield Sample("reply", window, r["source"] + "/history", lang, key=r["id"])
    for r in read(folder / "faq_en.jsonl"):
        if r["domain"] == "personality_chat" and r["a"]:
            for question in [r["q"], *r["paraphrases"]]:
                yield from [Sample("reply", [question, r["a"]], "personality_chat", "en")] * 4
    for sample in small_talk_samples():
        yield from [sample] * 10
    for lang in ("zh", "en"):
        for r in read(folder / f"sentiment_{lang}.jsonl"):
            if r["label"] != "neutral" and len(r["text"]) < 160 and rng.random() < 0.10:
                reply = rng.choice(REVIEW_REPLIES[lang, r["label"]])
                yield Sample("reply", [r["text"], reply], "review_reply", lang)


def small_talk_samples() -> list[Sample]:
    return [Sample("reply", [question, reply], "small_talk", lang)
            for user, replies, lang in SMALL_TALK for question in user for reply in replies]


def samples(folder: Path) -> tuple[list[Sample], list[Sample]]:
    """(training, held out)."""
    train: list[Sample] = []
    test: list[Sample] = []
    for maker in (sentiment_samples, emotion_samples, plain_samples, reply_samples):
        for sample in maker(folder):
            if sample.source == "small_talk":
                train.append(sample)  # our own few lines: all are used, none is measured
                continue
            key = sample.key or sample.turns[0]
            (test if held_out(key) else train).append(sample)
    return train, test


def prefix_ids(tokenizer: Tokenizer, system: str) -> list[int]:
    """System prompt up to the <|im_start|> of the user: the same for all rows of a task."""
    start, end = tokenizer.special["<|im_start|>"], tokenizer.special["<|im_end|>"]
    return [start, *tokenizer.encode(f"system\n{system}"), end, *tokenizer.encode("\n"), start]


def row_of(tokenizer: Tokenizer, sample: Sample, answer: bool = True, tokens_max: int = TEXT_TOKENS_MAX) -> Row:
    """The turns as ids. Without `answer` it stops after the last "assistant\\n": a prompt."""
    start, end = tokenizer.special["<|im_start|>"], tokenizer.special["<|im_end|>"]
    newline, speaker = tokenizer.encode("\n"), tokenizer.encode("assistant\n")
    ids: list[int] = []
    kind = bytearray()

    def put(tokens: list[int], what: int) -> None:
        ids.extend(tokens)
        kind.extend([what] * len(tokens))

    for n, turn in enumerate(sample.turns):
        if n % 2 == 0:
            text = tokenizer.encode(f"user\n{turn}")
            if len(text) > tokens_max:
                text = text[:tokens_max // 2] + text[-tokens_max // 2:]
            put([start] * (n > 0), 0)
            put(text[:2], 0)
            put(text[2:], 2)
            put([end, *newline, start, *speaker], 0)
        elif answer or n < len(sample.turns) - 1:
            put([*tokenizer.encode(f"assistant\n{turn}")[len(speaker):], end], 1)
            if n < len(sample.turns) - 1:
                put(newline, 0)
    return Row(sample.task, ids, bytes(kind))


def group_by(items: list, key) -> dict:
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
