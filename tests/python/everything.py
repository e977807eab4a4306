"""What write_everything.cpp saves, computed again from the formulas, without reading a file and without the library."""

import dataclasses
import math
import struct

import numpy as np

SIZES = {"bool": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
         "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16,
         "float8_e4m3fn": 1, "float8_e5m2": 1, "string": 1}
STEP, METRIC = 123456789, 0.125

SINGLE = [0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001,
          0x7f800001, 0xffa5a5a5, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff]
DOUBLE = [0x0000000000000000, 0x8000000000000000, 0x7ff0000000000000, 0xfff0000000000000,
          0x7ff8000000000000, 0xfff8000000000001, 0x7ff0000000000001, 0xfff5a5a5a5a5a5a5,
          0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff]


@dataclasses.dataclass
class Tensor:
    """A path's dtype, shape and logical bytes. The last extent of a string is the width of its strings."""
    dtype: str
    shape: tuple
    content: bytes


@dataclasses.dataclass
class Everything:
    tensors: dict       # path -> Tensor
    aliases: dict       # second name -> first name
    containers: set     # groups whose children were decided at run time
    absent: set


def pattern(path, dtype, shape):
    """Words of splitmix64, seeded with the path's FNV-1a hash."""
    seed = 14695981039346656037
    for byte in path.encode():
        seed = (seed ^ byte) * 1099511628211 % 2**64
    size = math.prod(shape) * SIZES[dtype]
    with np.errstate(over="ignore"):
        x = np.uint64(seed) + np.arange(1, size // 8 + 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    content = x.astype("<u8").tobytes()[:size]
    return bytes(b & 1 for b in content) if dtype == "bool" else content


def encode(key):
    """A map's key as one component of a path."""
    if key in ("", ".", ".."):
        return {"": "%", ".": "%2E", "..": "%2E%2E"}[key]
    return "".join(f"%{ord(c):02X}" if ord(c) < 0x20 or c in "\x7f/%" else c for c in key)


def libstdcxx_lcg(seed, multiplier, draws):
    """A linear congruential engine modulo 2^31 - 1: its state, which is also its last draw."""
    for _ in range(draws):
        seed = seed * multiplier % (2**31 - 1)
        yield seed


def everything(small=False):
    """All that the program binds, or what it binds with --small."""
    found = Everything({}, {}, set(), set())

    def tensor(path, dtype, shape, content):
        assert len(content) == math.prod(shape) * SIZES[dtype], path
        found.tensors[path] = Tensor(dtype, tuple(shape), bytes(content))

    def numbers(path, dtype, values):
        array = np.asarray(values, dtype=dtype)
        tensor(path, dtype, array.shape, array.tobytes())

    def text(path, value):
        value = value.encode() if isinstance(value, str) else value
        tensor(path, "string", (len(value),), value)

    def texts(path, values):
        encoded = [value.encode() for value in values]
        width = max(map(len, encoded), default=0)
        tensor(path, "string", (len(encoded), width), b"".join(value.ljust(width, b"\0") for value in encoded))

    for dtype in SIZES:
        if dtype == "string":
            continue
        shapes = {"matrix": (3, 5), "scalar": (), "empty": (0,), "vector": (7,), "deep": (2, 1, 3, 1, 2), "empty_matrix": (4, 0, 2)}
        for name, shape in shapes.items():
            if name == "matrix" or dtype == "float32" or not small:
                path = f"dtypes/{dtype}/{name}"
                tensor(path, dtype, shape, pattern(path, dtype, shape))
    for dtype in ("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16"):
        if SIZES[dtype] == 1:
            tensor(f"codes/{dtype}", dtype, (16, 16), bytes(range(256)))
        else:
            n, stride = (16, 257) if small else (256, 1)
            tensor(f"codes/{dtype}", dtype, (n, n), np.arange(n * n, dtype=np.uint32).__mul__(stride).astype("<u2").tobytes())
    for dtype, shape, codes in (("float32", 12, SINGLE), ("complex64", 6, SINGLE), ("float64", 12, DOUBLE), ("complex128", 6, DOUBLE)):
        tensor(f"special/{dtype}", dtype, (shape,), struct.pack("<12I" if codes is SINGLE else "<12Q", *codes))
    sizes = {"100": ("uint8", (100,))}
    if not small:
        sizes.update({"64KiB-1": ("uint8", (65535,)), "64KiB": ("uint8", (65536,)), "1MiB": ("uint8", (2**20,)),
                      "1MiB+1": ("uint8", (2**20 + 1,)), "matrix": ("float32", (701, 1000)), "complex": ("complex128", (131075,))})
    for name, (dtype, shape) in sizes.items():
        tensor(f"sizes/{name}", dtype, shape, pattern(f"sizes/{name}", dtype, shape))

    numbers("views/column_major", "float32", [[100 * i + j for j in range(6)] for i in range(4)])
    numbers("views/backwards", "int32", range(10))
    numbers("views/every_other", "int32", [9, 7, 5, 3, 1])
    tied = np.arange(32, dtype=np.float32) / 8
    numbers("model/embed", "float32", tied.reshape(4, 8))
    found.aliases["model/head"] = "model/embed"
    numbers("model/имя", "float32", tied[3])
    numbers("model/fc1.bias with space", "float32", tied[4])
    numbers("shared/second/weight", "float64", [0.5, 0.25])
    text("shared/second/name", "shared")
    found.aliases["shared/second/numbers"] = "shared/numbers"
    found.aliases["shared/first"] = "shared/second"  # and with it shared/first/numbers
    numbers("shared/numbers", "int64", [1, -1])
    found.aliases["shared/same_numbers"] = "shared/numbers"
    found.containers.add("many")
    for i in range(2 if small else 400):
        numbers(f"many/{i}", "float32", [i + k / 8 for k in range(i % 7)])

    for name, value in (("ascii", "plain"), ("empty", ""), ("utf8", "naïve 日本語 🙂"), ("with_nul", b"a\0b\0")):
        text(f"text/{name}", value)
    for name, value in (("lines", ["one", "", "größer"]), ("no_lines", []), ("empty_lines", ["", ""])):
        texts(f"text/{name}", value)
    found.absent |= {"absent/nothing", "absent/null"}
    numbers("absent/something", "float64", 2.5)
    numbers("absent/object/weight", "float64", [1, 2, 3])
    text("absent/object/name", "owned")
    found.absent.add("absent/object/numbers")

    def below(container, items, dtype):
        found.containers.add(container)
        for key, value in items.items():
            numbers(f"{container}/{encode(str(key))}", dtype, value)

    keys = ("", "a/b", "ключ", ".", "..", "100%", "%2F", "tab\there", "two words", "a.b", "a", "~")
    below("containers/keys", {key: [len(key.encode()), -1] for key in keys}, "float32")
    below("containers/numbers", {-5: 0.5, 0: 1.5, 7: 2.5, 10: 3.5}, "float64")
    below("containers/unordered", {"x": 1, "y": -2, "z": 3}, "int16")
    found.containers |= {"containers/no_keys", "containers/no_layers", "containers/layers"}
    for i, (name, blocks, scale) in enumerate((("first", [([1, 2], 4), ([3], 8)], [1, 2, 3]), ("second", [], [4, 5, 6]))):
        layer = f"containers/layers/{i}"
        text(f"{layer}/name", name)
        found.containers.add(f"{layer}/blocks")
        for k, (weight, heads) in enumerate(blocks):
            numbers(f"{layer}/blocks/{k}/weight", "float32", weight)
            numbers(f"{layer}/blocks/{k}/heads", "int32", heads)
        numbers(f"{layer}/scale", "float32", scale)
    text("containers/names/0", "left")
    text("containers/names/1", "right")
    tensor("containers/roots", "complex128", (2,), struct.pack("<4d", 0.0, 1.0, -0.0, -1.0))
    numbers("containers/grid", "int32", [[0, 10, 20], [30, 40, 50]])
    numbers("containers/pair/first", "float64", 0.75)
    text("containers/pair/second", "three quarters")
    numbers("containers/tuple/0", "uint8", 9)
    numbers("containers/tuple/1", "float32", 0.25)
    numbers("containers/deque", "int64", [3, 1, 2])
    numbers("containers/list", "float32", [0.5, 1.5])
    numbers("containers/set", "int32", [10, 20, 30])
    numbers("containers/bits", "bool", [True, False, True, True])
    numbers("containers/opaque", "uint8", [0, 255, 1])
    numbers("containers/atomic", "int64", -42)
    numbers("containers/phase", "uint8", 3)
    for name, dtype, count, unit in (("elapsed", "int64", 90061001, "1/1000 s"), ("minutes", "float64", 1.5, "60/1 s"),
                                     ("started", "int64", 1700000000, "1/1 s")):
        numbers(f"clocks/{name}/count", dtype, count)
        text(f"clocks/{name}/unit", unit)
    random(numbers, text)
    return found


def random(numbers, text):
    """The engines whose streams numpy or a few lines can make: the others are in `OPAQUE`."""
    twister = np.random.RandomState(20240229)._bit_generator  # seeded as the C++ standard and Matsumoto's init_genrand do
    twister.random_raw(700)
    state = twister.state["state"]
    numbers("rng/mt19937/state", "uint64", [*state["key"], state["pos"]])
    numbers("rng/draws/mt19937", "uint64", twister.random_raw(10))
    text("rng/mt19937/engine", "mersenne_twister_engine<32, 624, 397, 31, 2567483615, 11, 4294967295, 7, 2636928640, 15, "
                               "4022730752, 18, 1812433253>")
    text("rng/mt19937_64/engine", "mersenne_twister_engine<64, 312, 156, 31, 13043109905998158313, 29, 6148914691236517205, 17, "
                                  "8202884508482404352, 37, 18444473444759240704, 43, 6364136223846793005>")
    numbers("rng/minstd/state", "uint64", [17])
    text("rng/minstd/engine", "linear_congruential_engine<48271, 0, 2147483647>")
    numbers("rng/draws/minstd", "uint64", list(libstdcxx_lcg(17, 48271, 10)))
    text("rng/ranlux24/engine", "discard_block_engine<223, 23> of subtract_with_carry_engine<24, 10, 24>")
    text("rng/knuth/engine", "shuffle_order_engine<256> of linear_congruential_engine<16807, 0, 2147483647>")
    text("rng/normal/distribution", "normal_distribution<float64>")
    text("rng/normal/state", f"{0.5:.17e} {2.0:.17e} 1 {-1.25:.17e} ".ljust(256))
    numbers("rng/draws/normal", "float64", [0.5 + 2 * -1.25])


# Random state of which this module knows the type only: the programs themselves check that the streams go on.
OPAQUE = {"rng/mt19937_64/state": ("uint64", (313,)), "rng/ranlux24/state": ("uint64", (27,)), "rng/knuth/state": ("uint64", (258,)),
          "rng/draws/mt19937_64": ("uint64", (10,)), "rng/draws/ranlux24": ("uint64", (10,)), "rng/draws/knuth": ("uint64", (10,))}
