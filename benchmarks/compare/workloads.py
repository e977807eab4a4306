"""The tensors that are saved and loaded, as text that every worker reads: a name, a dtype and the extents a line."""

import math


def bytes_of(tensors):
    def one(line):
        _, dtype, *extents = line.split()
        return math.prod(map(int, extents)) * (4 if dtype == "float32" else 8)
    return sum(map(one, tensors))


def few_big(count):
    return [f"model/block{i} float32 4096 4096" for i in range(count)]


def gpt2(layers=12, words=50_257):
    """The parameters of GPT-2 small, or one of fewer layers and words, and what AdamW keeps beside each."""
    shapes = {"wte.weight": (words, 768), "wpe.weight": (1024, 768)}
    for i in range(layers):
        for name, shape in (("ln_1.weight", (768,)), ("ln_1.bias", (768,)),
                            ("attn.c_attn.weight", (768, 2304)), ("attn.c_attn.bias", (2304,)),
                            ("attn.c_proj.weight", (768, 768)), ("attn.c_proj.bias", (768,)),
                            ("ln_2.weight", (768,)), ("ln_2.bias", (768,)),
                            ("mlp.c_fc.weight", (768, 3072)), ("mlp.c_fc.bias", (3072,)),
                            ("mlp.c_proj.weight", (3072, 768)), ("mlp.c_proj.bias", (768,))):
            shapes[f"h.{i}.{name}"] = shape
    shapes |= {"ln_f.weight": (768,), "ln_f.bias": (768,)}
    return [f"{group}/transformer.{name} float32 {' '.join(map(str, shape))}"
            for group in ("model", "optimizer/exp_avg", "optimizer/exp_avg_sq") for name, shape in shapes.items()]


def small(count):
    """Tensors of 1 KiB, sixteen to a layer."""
    return [f"model/layers.{i // 16}/weight{i % 16} float32 256" for i in range(count)]


def scalars(count):
    return [f"optimizer/{'step' if i % 2 else 'loss_scale'}{i} {'int64' if i % 2 else 'float64'}" for i in range(count)]


def megabytes(count):
    """`count` MB in tensors of at most 50 MB."""
    tensors = math.ceil(count / 50)
    return [f"model/block{i} float32 {count * 1_000_000 // tensors // 4}" for i in range(tensors)]
