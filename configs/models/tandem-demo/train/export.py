"""Writes and reads the model folder: config, tokenizer and bf16 safetensors with Qwen2's names.

Every file is written beside its place and renamed, so that a reader never sees half of one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bpe import Tokenizer
from model import Qwen2, Shape

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
CONTEXT_TOKENS = 1024


def named_tensors(model: Qwen2) -> dict[str, Tensor]:
    """Weights under the names of Hugging Face's Qwen2; joint matrices are taken apart."""
    out = {"model.embed_tokens.weight": model.embedding.weight, "model.norm.weight": model.norm.weight}
    for n, layer in enumerate(model.layers):
        at = f"model.layers.{n}."
        out[at + "input_layernorm.weight"] = layer.input_norm.weight
        out[at + "post_attention_layernorm.weight"] = layer.post_norm.weight
        for what, weight, bias in zip("qkv", layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3)):
            out[at + f"self_attn.{what}_proj.weight"] = weight
            out[at + f"self_attn.{what}_proj.bias"] = bias
        out[at + "self_attn.o_proj.weight"] = layer.out.weight
        gate, up = layer.gate_up.weight.chunk(2)
        out[at + "mlp.gate_proj.weight"], out[at + "mlp.up_proj.weight"] = gate, up
        out[at + "mlp.down_proj.weight"] = layer.down.weight
    return {name: tensor.detach().float().cpu().contiguous() for name, tensor in out.items()}


def to_bf16(values: Tensor) -> np.ndarray:
    """Upper 16 bits, rounded to nearest even."""
    bits = values.numpy().view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_safetensors(path: Path, tensors: dict[str, Tensor]) -> None:
    header: dict = {"__metadata__": {"format": "pt"}}
    body = b""
    for name in sorted(tensors):
        raw = to_bf16(tensors[name]).tobytes()
        header[name] = {"dtype": "BF16", "shape": list(tensors[name].shape),
                        "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # data starts at a multiple of eight
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    header, out = json.loads(raw[8:8 + n]), {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = (8 + n + offset for offset in entry["data_offsets"])
            bits = np.frombuffer(raw[first:last], "<u2").astype(np.uint32) << 16
            out[name] = torch.from_numpy(bits.view(np.float32).reshape(entry["shape"]).copy())
    return out


def configs(shape: Shape, tokenizer: Tokenizer) -> dict[str, dict]:
    text, start, end = (tokenizer.special[s] for s in ("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    added = {str(i): {"content": name, "lstrip": False, "normalized": False, "rstrip": False,
                      "single_word": False, "special": True} for name, i in tokenizer.special.items()}
    return {
        "config.json": {
            "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": text,
            "eos_token_id": end, "hidden_act": "silu", "hidden_size": shape.d_model,
            "initializer_range": 0.02, "intermediate_size": shape.d_ff,
            "max_position_embeddings": CONTEXT_TOKENS, "max_window_layers": shape.n_layers,
            "model_type": "qwen2", "num_attention_heads": shape.n_heads,
            "num_hidden_layers": shape.n_layers, "num_key_value_heads": shape.n_heads,
            "rms_norm_eps": shape.epsilon, "rope_theta": shape.rope_theta,
            "sliding_window": CONTEXT_TOKENS, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
            "transformers_version": "4.37.0", "use_cache": True, "use_sliding_window": False,
            "vocab_size": shape.n_vocab},
        "generation_config.json": {
            "bos_token_id": text, "do_sample": True, "eos_token_id": [end, text], "pad_token_id": text,
            "repetition_penalty": 1.1, "temperature": 0.7, "top_p": 0.9, "transformers_version": "4.37.0"},
        "tokenizer_config.json": {
            "add_prefix_space": False, "added_tokens_decoder": added,
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "bos_token": None,
            "chat_template": CHAT_TEMPLATE, "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>", "errors": "replace", "model_max_length": CONTEXT_TOKENS,
            "pad_token": "<|endoftext|>", "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer", "unk_token": None},
    }


def export(model: Qwen2, tokenizer: Tokenizer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    def replace(name: str, write) -> None:
        temporary = folder / f".{name}.tmp"
        write(temporary)
        temporary.rename(folder / name)

    replace("tokenizer.json", tokenizer.save)
    for name, document in configs(model.shape, tokenizer).items():
        replace(name, lambda p: p.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8"))
    replace("model.safetensors", lambda p: write_safetensors(p, named_tensors(model)))


def load(folder: Path) -> tuple[Qwen2, Tokenizer]:
    """The exported folder as a model again, with the weights as they were rounded."""
    config = json.loads((folder / "config.json").read_text())
    tensors = read_safetensors(folder / "model.safetensors")
    shape = Shape(config["vocab_size"], config["hidden_size"], config["num_hidden_layers"],
                  config["num_attention_heads"], config["intermediate_size"], config["rope_theta"], config["rms_norm_eps"])
    model = Qwen2(shape)
    state = {"embedding.weight": tensors["model.embed_tokens.weight"], "norm.weight": tensors["model.norm.weight"]}
    for n in range(shape.n_layers):
        old, new = f"model.layers.{n}.", f"layers.{n}."
        state[new + "input_norm.weight"] = tensors[old + "input_layernorm.weight"]
        state[new + "post_norm.weight"] = tensors[old + "post_attention_layernorm.weight"]
        for part in ("weight", "bias"):
            state[new + f"qkv.{part}"] = torch.cat([tensors[old + f"self_attn.{w}_proj.{part}"] for w in "qkv"])
        state[new + "out.weight"] = tensors[old + "self_attn.o_proj.weight"]
        state[new + "gate_up.weight"] = torch.cat([tensors[old + f"mlp.{w}_proj.weight"] for w in ("gate", "up")])
        state[new + "down.weight"] = tensors[old + "mlp.down_proj.weight"]
    model.load_state_dict(state)
    return model.eval(), Tokenizer.load(folder / "tokenizer.json")


def main() -> None:
    parser = argparse.ArgumentParser(description="Exports the averaged weights of a training checkpoint.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint.pt of train.py")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json from bpe.py")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    arguments = parser.parse_args()
    state = torch.load(arguments.checkpoint, map_location="cpu")
    model = Qwen2(Shape(**state["shape"]))
    for p, e in zip(model.parameters(), state["ema"]):
        p.data.copy_(e)
    export(model, Tokenizer.load(arguments.tokenizer), arguments.out)


if __name__ == "__main__":
    main()
