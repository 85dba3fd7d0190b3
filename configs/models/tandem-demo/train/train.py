"""Trains the demo model from scratch on the CPU, within a time budget.

A step is one batch of one task; tasks are drawn by the shares below. The loss is the answer's
tokens plus, with a weight that falls over the run, a sampled part of the user's text: learning to
predict the reviews themselves is what a few thousand labels are too few for. Tokens of the
text are hidden at random, weights are averaged (EMA), and the learning rate follows the clock:
warm-up, then a cosine that reaches its end when the budget does.

`bag.py` gives the weights that it starts from.
Needs Debian's python3-torch, python3-numpy, python3-regex. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import pickle
import random
import sys
import time
from pathlib import Path
from typing import Iterator

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is loaded

import torch
import torch.nn.functional as F
from torch import Tensor

import data
import evaluate
import export
from bag import bag_of_tokens, lay_bag
from bpe import Tokenizer
from model import Dropout, Qwen2, Shape

# Shares of steps. Reviews learn slowest and are what is measured; English ones more so.
SHARES = {"sentiment-zh": 0.27, "sentiment": 0.30, "sentiment3": 0.12, "reply": 0.24, "intent": 0.07}
# Shares of the last minutes (--polish): greetings and comfort are few lines, which the long run sees too seldom.
POLISH = {"sentiment-zh": 0.14, "sentiment": 0.18, "sentiment3": 0.06, "reply": 0.18, "intent": 0.04, "small-talk": 0.40}
REPLIES = ("reply", "small-talk")
HIDDEN_WORDS = 0.10  # part of the user's tokens replaced by <|endoftext|> in label tasks
LABEL_WEIGHT = 2.0  # half of a label's loss is the end after it, which is soon learned
EMA_EVERY = 4


def load_rows(arguments: argparse.Namespace, tokenizer: Tokenizer) -> tuple[list[data.Row], list[data.Sample]]:
    """Rows for training and samples held out; kept in the work folder, as encoding takes a minute."""
    kept = arguments.work / "rows.pickle"
    if kept.exists():
        return pickle.loads(kept.read_bytes())
    train, test = data.samples(arguments.data)
    rows = [data.row_of(tokenizer, s) for s in train]
    rows = [r for r in rows if len(r.ids) <= 320]
    kept.write_bytes(pickle.dumps((rows, test)))
    return rows, test


def batches(rows: list[data.Row], n_tokens: int, rng: random.Random) -> Iterator[list[data.Row]]:
    """Endless batches of about `n_tokens`, each of rows of nearly one length."""
    while True:
        rng.shuffle(rows)
        for first in range(0, len(rows), 4096):
            pool = sorted(rows[first:first + 4096], key=lambda r: len(r.ids))
            cut: list[list[data.Row]] = [[]]
            for row in pool:
                if cut[-1] and (len(cut[-1]) + 1) * len(row.ids) > n_tokens:
                    cut.append([])
                cut[-1].append(row)
            rng.shuffle(cut)
            yield from cut


def tensors(rows: list[data.Row], pad: int) -> tuple[Tensor, Tensor]:
    """(ids, kind), both [n_rows, n_time]."""
    n_time = max(len(r.ids) for r in rows)
    ids = torch.full((len(rows), n_time), pad)
    kind = torch.zeros((len(rows), n_time), dtype=torch.uint8)
    for i, row in enumerate(rows):
        ids[i, :len(row.ids)] = torch.tensor(row.ids)
        kind[i, :len(row.ids)] = torch.frombuffer(bytearray(row.kind), dtype=torch.uint8)
    return ids, kind


def keep_memory() -> None:
    """Tells glibc to keep freed memory: a seventh of the time went into giving large blocks back to
    the kernel and having them zeroed again, every step."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
        libc.mallopt(m_top_pad, 2**28)


class Trainer:
    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = Tokenizer.load(arguments.tokenizer)
        rows, self.test = load_rows(arguments, self.tokenizer)
        self.pad = self.tokenizer.special["<|endoftext|>"]
        systems = data.systems()
        self.prefix = {task: torch.tensor(data.prefix_ids(self.tokenizer, systems[task]), device=self.device)
                       for task in SHARES}
        self.rng = random.Random(arguments.seed)
        torch.manual_seed(arguments.seed)
        by_task = data.group_by(rows, lambda r: r.task)
        self.prefix["small-talk"] = self.prefix["reply"]
        by_task["small-talk"] = [data.row_of(self.tokenizer, s) for s in data.small_talk_samples()]
        for task, own in by_task.items():
            print(f"{task}: {len(own)} rows, {sum(len(r.ids) for r in own)} tokens", file=sys.stderr)
        self.feeds = {task: batches(own, arguments.batch_tokens, self.rng) for task, own in by_task.items()}
        shape = Shape(n_vocab=self.tokenizer.n_vocab, d_model=arguments.d_model,
                      n_layers=arguments.layers, n_heads=arguments.d_model // 64, d_ff=arguments.d_ff)
        self.model = Qwen2(shape).to(self.device)
        decay = [p for n, p in self.model.named_parameters() if p.dim() == 2 and "embedding" not in n]
        other = [p for n, p in self.model.named_parameters() if p.dim() < 2 or "embedding" in n]
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": arguments.weight_decay}, {"params": other, "weight_decay": 0.0}],
            lr=arguments.lr, betas=(0.9, 0.98), foreach=True)
        self.ema = [p.detach().clone() for p in self.model.parameters()]
        self.rows = rows
        self.dropout = Dropout(arguments.dropout)
        self.step = 0
        self.seconds = 0.0  # training time so far, over all resumed runs

    def start_from_bag(self, seconds: float) -> None:
        lay_bag(self.model, *bag_of_tokens(self.rows, self.tokenizer.n_vocab, seconds))
        self.ema = [p.detach().clone() for p in self.model.parameters()]

    def loss(self, task: str, progress: float) -> tuple[Tensor, Tensor, int]:
        """(loss to descend, for progress: labels right or the loss of replies, tokens)."""
        ids, kind = tensors(next(self.feeds[task]), self.pad)
        seen = ids
        if task not in REPLIES:
            hide = (torch.rand(ids.shape) < HIDDEN_WORDS) & (kind == 2)
            seen = torch.where(hide, torch.tensor(self.pad), ids)
        text_share = self.arguments.text_share * (1 - progress) ** 2
        lossy = kind[:, 1:] == 1  # positions whose next token counts
        lossy |= (kind[:, 1:] == 2) & (torch.rand(lossy.shape) < text_share)
        at = lossy.byte().argsort(1, descending=True)[:, :int(lossy.sum(1).max())].sort(1)[0]
        hidden = self.model(self.prefix[task], seen.to(self.device), at.to(self.device), self.dropout)
        what = torch.where(lossy, kind[:, 1:], torch.zeros_like(kind[:, 1:])).gather(1, at).flatten()
        target, hidden = ids[:, 1:].gather(1, at).flatten(), hidden.flatten(0, 1)
        answers, texts = (what == 1).nonzero().flatten(), (what == 2).nonzero().flatten()
        chosen = torch.cat((answers, texts))
        logits, wanted = self.model.logits(hidden[chosen]), target[chosen].to(self.device)
        each = F.cross_entropy(logits, wanted, reduction="none")
        answer_loss = each[:len(answers)].mean()
        total = answer_loss * (1.0 if task in REPLIES else LABEL_WEIGHT)
        if len(texts):
            total = total + self.arguments.text_weight * (1 - progress) * each[len(answers):].mean()
        labels = slice(0, len(answers), 2)  # a label row has two answer tokens: label, end
        right = (logits[labels].argmax(-1) == wanted[labels]).float().mean()
        return total, answer_loss.detach() if task in REPLIES else right, ids.numel()

    def run(self) -> None:
        budget = self.arguments.minutes * 60
        share_of = POLISH if self.arguments.polish else SHARES
        tasks, shares = list(share_of), list(share_of.values())
        shown, n_tokens, mean = time.time(), 0, {}
        saved, exported = time.time(), time.time()
        self.model.train()
        while self.seconds < budget:
            began = time.time()
            progress = self.seconds / budget
            cosine = 0.5 * (1 + math.cos(math.pi * progress))
            rate = self.arguments.lr * min(1.0, (self.step + 1) / 100) * (0.02 + 0.98 * cosine)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            task = self.rng.choices(tasks, shares)[0]
            loss, shows, n = self.loss(task, progress)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            if self.step % EMA_EVERY == 0:
                keep = min(0.996 ** EMA_EVERY, 1 - 8 / (self.step + 8))
                torch._foreach_mul_(self.ema, keep)
                torch._foreach_add_(self.ema, [p.detach() for p in self.model.parameters()], alpha=1 - keep)
            n_tokens += n
            mean[task] = 0.95 * mean.get(task, float(shows)) + 0.05 * float(shows)
            self.seconds += time.time() - began
            now = time.time()
            if now - shown > 15:
                means = " ".join(f"{t} {mean[t]:.3f}" for t in sorted(mean))
                print(f"step {self.step} {progress:.0%} {n_tokens / (now - shown):.0f} tokens/s, "
                      f"{(budget - self.seconds) / 60:.1f} min left, rate {rate:.1e}: {means}",
                      file=sys.stderr, flush=True)
                shown, n_tokens = time.time(), 0
                self.share_the_machine()
            if now - saved > 180:
                self.save()
                saved = time.time()
            if now - exported > self.arguments.export_every * 60:
                self.publish(600)
                exported = shown = time.time()
        self.save()
        self.publish(None)

    def share_the_machine(self) -> None:
        """All threads while nobody else computes, one otherwise: two threads that wait for each
        other on a busy machine were seen to be slower than one, by up to seven times."""
        others = os.getloadavg()[0] - torch.get_num_threads()
        torch.set_num_threads(self.arguments.threads if others < 0.7 else 1)

    def publish(self, n_test: int | None) -> None:
        """Measures the averaged weights on held-out texts and exports them where asked."""
        averaged = Qwen2(self.model.shape).to(self.device)
        for p, e in zip(averaged.parameters(), self.ema):
            p.data.copy_(e)
        averaged.eval()
        for line in evaluate.label_report(averaged, self.tokenizer, self.test, n_test):
            print(line, file=sys.stderr, flush=True)
        if self.arguments.export:
            export.export(averaged, self.tokenizer, self.arguments.export)

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "ema": self.ema,
                 "step": self.step, "seconds": self.seconds, "shape": self.model.shape.as_dict(),
                 "rng": self.rng.getstate()}
        temporary = self.arguments.work / "checkpoint.tmp"
        torch.save(state, temporary)
        temporary.rename(self.arguments.work / "checkpoint.pt")

    def load(self) -> None:
        state = torch.load(self.arguments.work / "checkpoint.pt", map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema, self.step, self.seconds = state["ema"], state["step"], state["seconds"]
        self.rng.setstate(state["rng"])
        if self.arguments.polish:
            self.seconds = 0.0  # a schedule of its own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled data")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and encoded rows")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json from bpe.py")
    parser.add_argument("--export", type=Path, help="model folder to write, also during the run")
    parser.add_argument("--export-every", type=float, default=8, help="minutes between exports (default 8)")
    parser.add_argument("--minutes", type=float, default=55, help="training time; the schedule fits it (default 55)")
    parser.add_argument("--resume", action="store_true", help="go on from the work folder's checkpoint")
    parser.add_argument("--polish", action="store_true",
                        help="with --resume: a short run of its own, mostly small talk; give --minutes and a low --lr")
    parser.add_argument("--threads", type=int, default=2,
                        help="CPU threads at most; one while others need the machine (default 2)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--d-ff", type=int, default=704)
    parser.add_argument("--bag-seconds", type=float, default=20, help="time to train the bag of tokens (default 20)")
    parser.add_argument("--bag-again", action="store_true",
                        help="with --resume: lay the bag of tokens in once more")
    parser.add_argument("--batch-tokens", type=int, default=1536)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--text-share", type=float, default=0.25,
                        help="part of the user's text predicted at the start (default 0.25)")
    parser.add_argument("--text-weight", type=float, default=0.3,
                        help="weight of that loss at the start (default 0.3)")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    keep_memory()
    torch.set_num_threads(1)
    trainer = Trainer(arguments)
    if arguments.resume:
        trainer.load()
    if arguments.bag_again or not arguments.resume:
        trainer.start_from_bag(arguments.bag_seconds)
    trainer.run()


if __name__ == "__main__":
    main()
