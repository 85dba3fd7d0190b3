"""Figures of an exported folder on the held-out texts: label accuracy and properties of replies.

A label is chosen as the C++ worker does: the most probable label token right after
"assistant\\n". Replies are made with the reply task's own decoding settings, and greedily with the
same penalties.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import tomllib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator

import torch

import data
from bpe import Tokenizer
from model import Qwen2

LABELS = {"sentiment-zh": ["Positive", "Negative"], "sentiment": ["Positive", "Negative"],
          "sentiment3": ["Positive", "Negative", "Neutral"],
          "intent": ["question", "request", "complaint", "praise", "chat"]}


def first_token(tokenizer: Tokenizer, label: str) -> int:
    return tokenizer.encode(f"assistant\n{label}")[len(tokenizer.encode("assistant\n"))]


@torch.no_grad()
def predict(model: Qwen2, tokenizer: Tokenizer, task: str, texts: list[str]) -> list[str]:
    """The most probable label of each text."""
    device = model.embedding.weight.device
    prefix = torch.tensor(data.prefix_ids(tokenizer, data.systems()[task]), device=device)
    labels = torch.tensor([first_token(tokenizer, label) for label in LABELS[task]], device=device)
    rows = [data.row_of(tokenizer, data.Sample(task, [text, ""], "", ""), False, 1024).ids for text in texts]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    answers = [""] * len(rows)
    for first in range(0, len(order), 48):
        chosen = order[first:first + 48]
        n_time = max(len(rows[i]) for i in chosen)
        ids = torch.tensor([rows[i] + [0] * (n_time - len(rows[i])) for i in chosen], device=device)
        last = model(prefix, ids, torch.tensor([[len(rows[i]) - 1] for i in chosen], device=device))[:, 0]
        for i, best in zip(chosen, model.logits(last)[:, labels].argmax(-1).tolist()):
            answers[i] = LABELS[task][best]
    return answers


def label_report(model: Qwen2, tokenizer: Tokenizer, test: list[data.Sample], n_max: int | None) -> Iterator[str]:
    """Accuracy by task, language and source; at most `n_max` texts a task."""
    for task in LABELS:
        own = [s for s in test if s.task == task]
        own = sorted(own, key=lambda s: hash_of(s.turns[0]))[:n_max]
        answers = predict(model, tokenizer, task, [s.turns[0] for s in own])
        right = [a == s.turns[1] for s, a in zip(own, answers)]
        for name, key in (("language", lambda s: s.lang), ("source", lambda s: f"{s.lang} {s.source}")):
            hits, all_of = Counter(), Counter()
            for s, hit in zip(own, right):
                if name == "source" or "/" not in s.source and s.source != "emotion":
                    hits[key(s)] += hit
                    all_of[key(s)] += 1
            yield f"{task} by {name}: " + ", ".join(
                f"{k} {hits[k] / n:.3f} ({n})" for k, n in sorted(all_of.items()))


def hash_of(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


@dataclass
class Decode:
    """The [decode] settings of a task that a reply depends on."""

    temperature: float
    top_p: float
    repetition_penalty: float
    no_repeat_ngram: int
    tokens_max: int

    @staticmethod
    def of_task(task: str) -> Decode:
        values = tomllib.loads((data.TASKS / f"{task}.toml").read_text(encoding="utf-8"))["decode"]
        return Decode(values.get("temperature", 0.0), values.get("top_p", 1.0), values.get("repetition_penalty", 1.0),
                      values.get("no_repeat_ngram", 0), values["tokens_max"])


def penalise(logits: torch.Tensor, seen: list[int], decode: Decode) -> None:
    """In place, as Hugging Face does it: prompt tokens count, an n-gram may not come twice."""
    used = torch.tensor(sorted(set(seen)))
    values = logits[used]
    logits[used] = torch.where(values > 0, values / decode.repetition_penalty, values * decode.repetition_penalty)
    n = decode.no_repeat_ngram
    if n and len(seen) >= n:
        tail = seen[len(seen) - n + 1:]
        for i in range(len(seen) - n + 1):
            if seen[i:i + n - 1] == tail:
                logits[seen[i + n - 1]] = -torch.inf


@torch.no_grad()
def generate(model: Qwen2, tokenizer: Tokenizer, turns: list[str], decode: Decode,
             generator: torch.Generator | None = None) -> tuple[str, int, bool]:
    """(reply, its tokens, whether it ended by itself). `turns` ends with the user's."""
    prefix = data.prefix_ids(tokenizer, data.systems()["reply"])
    ids = data.row_of(tokenizer, data.Sample("reply", [*turns, ""], "", ""), False, 1024).ids
    out: list[int] = []
    for _ in range(decode.tokens_max):
        logits = model.logits(model(torch.tensor(prefix), torch.tensor([ids + out]), torch.tensor([[len(ids + out) - 1]]))[0, 0])
        penalise(logits, prefix + ids + out, decode)
        token = int(logits.argmax())
        if decode.temperature > 0:
            p, order = (logits / decode.temperature).softmax(-1).sort(descending=True)
            p[p.cumsum(-1) - p > decode.top_p] = 0
            token = int(order[torch.multinomial(p, 1, generator=generator)])
        if token == tokenizer.special["<|im_end|>"]:
            return tokenizer.decode(out), len(out), True
        out.append(token)
    return tokenizer.decode(out), len(out), False


def language(text: str) -> str:
    """zh when most letters are Chinese, en when most are Latin, ? without letters."""
    zh, en = len(re.findall(r"[\u4e00-\u9fff]", text)), len(re.findall(r"[A-Za-z]", text)) / 4
    return "?" if zh == en == 0 else "zh" if zh >= en else "en"


def reply_report(model: Qwen2, tokenizer: Tokenizer, test: list[data.Sample], n_each: int) -> Iterator[str]:
    for lang in ("zh", "en"):
        own = [s for s in test if s.task == "reply" and s.lang == lang]
        own.sort(key=lambda s: hash_of(s.turns[0]))
        sampled = Decode.of_task("reply")
        for name, decode in (("greedy", replace(sampled, temperature=0.0)), ("sampled", sampled)):
            generator = torch.Generator().manual_seed(1)
            replies = [generate(model, tokenizer, s.turns[:-1], decode, generator) for s in own[:n_each]]
            n, different = len(replies), len({r[0] for r in replies})
            lengths = sorted(r[1] for r in replies)
            ends = sum(r[2] for r in replies) / n
            matches = sum(language(r[0]) in (lang, "?") for r in replies) / n
            yield (f"reply {lang} {name}: ends by itself {ends:.3f}, tokens median {lengths[n // 2]}, p95 "
                   f"{lengths[n * 95 // 100]}, in the language of the text {matches:.3f}, different {different} of {n}")


EXAMPLES = ["你好", "我今天心情不好。", "这家店的面太好吃了！", "你周末有什么计划？", "快递等了一个星期还没到，太慢了。",
            "Hello!", "I lost my keys this morning.", "The hotel was clean and the staff were lovely.",
            "What are you doing this weekend?", "The flight was delayed for five hours and nobody helped us."]


def main() -> None:
    import export

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled data")
    parser.add_argument("--model", type=Path, default=Path(__file__).resolve().parents[1],
                        help="model folder (default: this one)")
    parser.add_argument("--texts", type=int, help="at most so many texts a task (default: all)")
    parser.add_argument("--replies", type=int, default=100, help="replies a language and mode (default 100)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, tokenizer = export.load(arguments.model)
    _, test = data.samples(arguments.data)
    for line in label_report(model, tokenizer, test, arguments.texts):
        print(line, flush=True)
    for line in reply_report(model, tokenizer, test, arguments.replies):
        print(line, flush=True)
    decode, generator = Decode.of_task("reply"), torch.Generator().manual_seed(1)
    for text in EXAMPLES:
        greedy = generate(model, tokenizer, [text], replace(decode, temperature=0.0))[0]
        sampled = generate(model, tokenizer, [text], decode, generator)[0]
        print(f"{text}\n  greedy:  {greedy}\n  sampled: {sampled}", flush=True)


if __name__ == "__main__":
    main()
