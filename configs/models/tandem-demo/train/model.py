"""The Qwen2 decoder in PyTorch, arranged for training many rows that share one prefix.

All rows of a batch begin with the same system prompt. It runs once, as a batch of one and with
gradient, and the rows attend to its keys and values, so that a row costs only its own tokens.
Prefix and rows lie in one [prefix + batch * time, d_model] matrix: one product a weight.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Shape:
    n_vocab: int = 8192
    d_model: int = 256
    n_layers: int = 2
    n_heads: int = 4
    d_ff: int = 704
    rope_theta: float = 1e6
    epsilon: float = 1e-6

    def as_dict(self) -> dict:
        return asdict(self)


class Dropout:
    """Dropout with masks cut from one long random strip at random places.

    Drawing a Bernoulli number costs 18 ns here, a fifth of a step; a multiplication does not.
    """

    def __init__(self, rate: float, n: int = 1 << 23):
        self.rate = rate
        self.strip = (torch.rand(n) >= rate).float() / (1 - rate) if rate > 0 else None

    def __call__(self, x: Tensor) -> Tensor:
        if self.strip is None or not torch.is_grad_enabled():
            return x
        first = int(torch.randint(len(self.strip) - x.numel(), (1,)))
        return x * self.strip[first:first + x.numel()].view_as(x).to(x.device)


KEEP_ALL = Dropout(0.0)


class ScaleToUnit(torch.autograd.Function):
    """RMSNorm with its gradient written out: half the passes over memory of the derived one."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        inverse = torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon)
        unit = x * inverse
        ctx.save_for_backward(unit, inverse, weight)
        return unit * weight

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, inverse, weight = ctx.saved_tensors
        grad_weight = torch.einsum("td,td->d", grad, unit)
        grad = grad * weight
        along = torch.linalg.vecdot(grad, unit).unsqueeze(-1) / unit.shape[-1]
        return torch.addcmul(grad, unit, along, value=-1).mul_(inverse), grad_weight, None


class RMSNorm(nn.Module):
    def __init__(self, d_model: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return ScaleToUnit.apply(x, self.weight, self.epsilon)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE with element i paired with i + d_head / 2. x [n_tokens, n_heads, d_head]."""
    left, right = x.chunk(2, -1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), -1)


class Layer(nn.Module):
    """q, k, v and gate, up are one matrix each: fewer, larger products."""

    def __init__(self, shape: Shape):
        super().__init__()
        d = shape.d_model
        self.n_heads, self.d_head = shape.n_heads, d // shape.n_heads
        self.input_norm = RMSNorm(d, shape.epsilon)
        self.qkv = nn.Linear(d, 3 * d)
        self.out = nn.Linear(d, d, bias=False)
        self.post_norm = RMSNorm(d, shape.epsilon)
        self.gate_up = nn.Linear(d, 2 * shape.d_ff, bias=False)
        self.down = nn.Linear(shape.d_ff, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, n_prefix: int, n_rows: int, dropout: Dropout) -> Tensor:
        """All positions: x [n_prefix + n_rows * n_time, d_model], prefix first."""
        h, d = self.n_heads, self.d_head
        n_time = (x.shape[0] - n_prefix) // n_rows
        qk, v = self.qkv(self.input_norm(x)).view(-1, 3 * h, d).split((2 * h, h), 1)
        q, k = rotate(qk, cos, sin).split(h, 1)
        (q_prefix, q), (k_prefix, k), (v_prefix, v) = (t.split((n_prefix, n_rows * n_time)) for t in (q, k, v))
        q_prefix, k_prefix, v_prefix = (t.transpose(0, 1) for t in (q_prefix, k_prefix, v_prefix))
        prefix = (q_prefix @ k_prefix.transpose(1, 2) / math.sqrt(d) + later(n_prefix, x)).softmax(-1) @ v_prefix
        rows = self.mix(q, k_prefix, v_prefix, k, v, later(n_time, x), n_rows)
        x = x + dropout(self.out(torch.cat((prefix.transpose(0, 1).reshape(n_prefix, h * d), rows))))
        return self.feed_forward(x, dropout)

    def forward_at(self, x: Tensor, cos: Tensor, sin: Tensor, n_prefix: int, at: Tensor, dropout: Dropout) -> Tensor:
        """Only the positions `at` [n_rows, n] of each row: [n_rows * n, d_model]. Exact, since the last
        layer's other positions are read by nobody, and a label row needs two of fifty."""
        h, d, d_model = self.n_heads, self.d_head, x.shape[1]
        n_rows, n_time = at.shape[0], (x.shape[0] - n_prefix) // at.shape[0]
        wanted = n_prefix + (torch.arange(n_rows, device=x.device)[:, None] * n_time + at).flatten()
        normed = self.input_norm(x)
        (w_q, w_kv), (b_q, b_kv) = (t.split((d_model, 2 * d_model)) for t in (self.qkv.weight, self.qkv.bias))
        k, v = F.linear(normed, w_kv, b_kv).view(-1, 2 * h, d).split(h, 1)
        (k_prefix, k), (v_prefix, v) = (t.split((n_prefix, n_rows * n_time)) for t in (rotate(k, cos, sin), v))
        q = rotate(F.linear(normed[wanted], w_q, b_q).view(-1, h, d), cos[wanted], sin[wanted])
        mask = later(n_time, x)[at][:, None]
        rows = self.mix(q, k_prefix.transpose(0, 1), v_prefix.transpose(0, 1), k, v, mask, n_rows)
        return self.feed_forward(x[wanted] + dropout(self.out(rows)), dropout)

    def mix(self, q: Tensor, k_prefix: Tensor, v_prefix: Tensor, k: Tensor, v: Tensor, mask: Tensor, n_rows: int) -> Tensor:
        """Attention of the rows' queries to prefix and own row: [n_rows * n, n_heads * d_head].

        q [n_rows * n, n_heads, d_head]; k_prefix, v_prefix [n_heads, n_prefix, d_head]; k, v
        [n_rows * n_time, n_heads, d_head]; mask [.., n, n_time].
        """
        h, d, n_prefix = self.n_heads, self.d_head, k_prefix.shape[1]
        n, n_time = q.shape[0] // n_rows, k.shape[0] // n_rows
        k, v = (t.reshape(n_rows, n_time, h, d).transpose(1, 2) for t in (k, v))
        q = q * (1 / math.sqrt(d))
        to_prefix = q.transpose(0, 1) @ k_prefix.transpose(1, 2)  # [h, rows * n, prefix]
        to_prefix = to_prefix.view(h, n_rows, n, n_prefix).transpose(0, 1)
        to_row = q.reshape(n_rows, n, h, d).transpose(1, 2) @ k.transpose(2, 3) + mask
        on_prefix, on_row = torch.cat((to_prefix, to_row), -1).softmax(-1).split((n_prefix, n_time), -1)
        from_prefix = on_prefix.transpose(0, 1).reshape(h, n_rows * n, n_prefix) @ v_prefix
        from_row = (on_row @ v).transpose(1, 2).reshape(n_rows * n, h * d)
        return from_prefix.transpose(0, 1).reshape(n_rows * n, h * d) + from_row

    def feed_forward(self, x: Tensor, dropout: Dropout) -> Tensor:
        gate, up = self.gate_up(self.post_norm(x)).chunk(2, -1)
        return x + dropout(self.down(F.silu(gate) * up))


def later(n: int, like: Tensor) -> Tensor:
    """[n, n]: what hides position j from position i < j."""
    return torch.full((n, n), -1e9, device=like.device).triu(1)


class Qwen2(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.n_vocab, shape.d_model)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.n_layers))
        self.norm = RMSNorm(shape.d_model, shape.epsilon)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                into_residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, 0, 0.03 / math.sqrt(2 * shape.n_layers) if into_residual else 0.03)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, prefix: Tensor, rows: Tensor, at: Tensor | None = None, dropout: Dropout = KEEP_ALL) -> Tensor:
        """Final hidden states [n_rows, n, d_model] of `rows` [n_rows, n_time] behind `prefix`, at the
        positions `at` [n_rows, n] of each row, or at all.

        Rows are padded on the right with anything: no token sees what comes after it.
        """
        (n_rows, n_time), n_prefix = rows.shape, prefix.shape[0]
        if at is None:
            at = torch.arange(n_time, device=rows.device).repeat(n_rows, 1)
        x = dropout(self.embedding(torch.cat((prefix, rows.flatten()))))
        cos, sin = self.angles(n_prefix, n_time)
        cos, sin = (torch.cat((t[:n_prefix], t[n_prefix:].repeat(n_rows, 1, 1))) for t in (cos, sin))
        for layer in self.layers[:-1]:
            x = layer(x, cos, sin, n_prefix, n_rows, dropout)
        x = self.layers[-1].forward_at(x, cos, sin, n_prefix, at, dropout)
        return self.norm(x).view(*at.shape, -1)

    def angles(self, n_prefix: int, n_time: int) -> tuple[Tensor, Tensor]:
        half = self.shape.d_model // self.shape.n_heads // 2
        frequency = self.shape.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
        angle = torch.arange(n_prefix + n_time, dtype=torch.float32)[:, None] * frequency
        device = self.embedding.weight.device
        return angle.cos()[:, None].to(device), angle.sin()[:, None].to(device)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden @ self.embedding.weight.T
