"""What runs: groups of contenders over one workload, each once in every round."""

import dataclasses

import workloads


@dataclasses.dataclass(frozen=True)
class Contender:
    """`name` is what a worker knows it by. One that loads reads the file that the contender `reads` made."""

    name: str
    reads: str = ""
    cold: bool = False  # whether the file is dropped from the page cache first
    is_peer: bool = False  # then nothing is done to warm it


@dataclasses.dataclass(frozen=True)
class Group:
    """`baseline` are those of which the best is what the others are compared with; `states` is how many copies of the tensors are in memory
    at once, in all processes."""

    name: str
    title: str
    tensors: list
    baseline: tuple
    contenders: list
    rounds: int
    states: float = 6

    def needs(self):
        """Bytes of memory and of disk."""
        size = workloads.bytes_of(self.tensors)
        files = 2 + len({c.reads for c in self.contenders if c.reads})
        return int(self.states * size), files * size


@dataclasses.dataclass(frozen=True)
class Peer:
    """A library that is compared with: the names of its save and its load."""

    save: str
    load: str
    slow: bool = False  # with many tensors: a quick run leaves it out there


RAW, GATHERED = ("limit write", "limit write, 4 MiB"), ("gathered write", "gathered write, direct")
PEERS = [
    Peer("safetensors layout in C++", "safetensors layout in C++, load"),
    Peer("cereal", "cereal, load"),
    Peer("H5Dwrite", "H5Dread"),
    Peer("HighFive", "HighFive, load"),
    Peer("libtorch", "libtorch, load", slow=True),
    Peer("torch.save", "torch.load"),
    Peer("safetensors", "safetensors, load"),
    Peer("h5py", "h5py, read_direct", slow=True),
]
NUMPY = Peer("numpy.savez", "numpy.load", slow=True)


def saves(*names):
    return [Contender(name) for name in names]


def loads(*pairs, cold=False):
    return [Contender(name, reads, cold) for name, reads in pairs]


def saves_of(peers, suffix=""):
    return [Contender(p.save + suffix, is_peer=True) for p in peers]


def loads_of(peers, cold=False):
    return [Contender(p.load, p.save, cold, is_peer=True) for p in peers]


def groups(quick, rounds):
    """All groups, those of the same tensors side by side. A quick run has smaller states and fewer peers."""
    few_big = 4 if quick else 24
    peers = PEERS if quick else [*PEERS, NUMPY]
    yield Group("save few big", f"Durable save, {few_big} tensors of 64 MiB", workloads.few_big(few_big), RAW,
                [*saves(*RAW, "holdfast save", "holdfast save, recycled blocks"), *saves_of([] if quick else peers)], rounds)
    yield from gpt2_groups(quick, rounds, peers)
    yield from small_groups(rounds, [p for p in PEERS if not (quick and p.slow)])
    yield Group("save scalars", "Save of 2,000 scalars without fsync", workloads.scalars(2000), ("torch.save, no fsync",),
                [*saves("torch.save, no fsync", "holdfast save, no fsync"), *saves_of((p for p in PEERS if p.save != "torch.save"), ", no fsync")], rounds)
    yield from growth_groups(quick, max(2, rounds // 2))


def gpt2_groups(quick, rounds, peers):
    tensors = workloads.gpt2(layers=2, words=6250) if quick else workloads.gpt2()
    title = "GPT-2 with 2 layers and 6,250 words, and AdamW" if quick else "GPT-2 124M with AdamW"
    yield Group("save gpt2", f"Durable save, {title}", tensors, RAW,
                [*saves(*RAW, "holdfast save", "holdfast save, buffered", "holdfast save, no digests", "holdfast save, recycled blocks", "XXH3 of the state"),
                 *saves_of(peers)], rounds)
    yield Group("load gpt2", f"Warm load, {title}", tensors, ("pread",),
                [*loads(("pread", "limit write"), ("holdfast restore", "holdfast save"), ("holdfast restore, not verified", "holdfast save"),
                        ("holdfast map", "holdfast save")), *loads_of(peers)], rounds)
    yield Group("cold gpt2", f"Cold load, {title}", tensors, ("WILLNEED + two-thread pread",),
                [*loads(("WILLNEED + two-thread pread", "limit write"), ("holdfast restore", "holdfast save"), cold=True), *loads_of(peers, cold=True)], rounds)
    yield Group("memory gpt2", f"Peak memory beside the state, {title}", tensors, (),
                [*saves("holdfast save, memory", "holdfast save_async, memory"),
                 *loads(("holdfast restore, memory", "holdfast save"), ("torch.load, memory", "torch.save"))], min(rounds, 3))
    # Last: the passes change the tensors, which loads compare with what was saved.
    yield Group("stall gpt2", f"Saving in the background, {title}", tensors, ("streaming copy, two threads",),
                saves("streaming copy, two threads", "holdfast stall", "holdfast save", "pass over the state", "pass after holdfast's stall"), rounds)


def small_groups(rounds, peers):
    tensors = workloads.small(20_000)
    yield Group("save small", "Durable save, 20,000 tensors of 1 KiB", tensors, GATHERED,
                [*saves(*GATHERED, "holdfast save", "holdfast save, first time"), *saves_of(peers)], rounds)
    yield Group("load small", "Warm open and load, 20,000 tensors of 1 KiB", tensors, ("gathered pread",),
                [*loads(("gathered pread", "gathered write"), ("holdfast restore", "holdfast save"), ("holdfast map", "holdfast save")),
                 *loads_of(peers)], rounds)
    one_of = [("libhdf5 one tensor", "H5Dwrite"), ("holdfast one tensor", "holdfast save"), ("safetensors one tensor", "safetensors"),
              ("h5py one tensor", "h5py"), ("torch.load", "torch.save")]
    made = {p.save for p in peers} | {"holdfast save"}
    yield Group("partial", "One tensor of 20,000, warm, open included", tensors, ("libhdf5 one tensor",),
                loads(*(pair for pair in one_of if pair[1] in made)), rounds)


def growth_groups(quick, rounds):
    for count in (1, 10, 100, 1000, 10_000) if quick else (1, 10, 100, 1000, 10_000, 100_000):
        yield Group(f"count {count}", f"{count:,} × 1 KiB", workloads.small(count), GATHERED,
                    [*saves(*GATHERED, "holdfast save", "holdfast save, first time"),
                     *loads(("holdfast restore", "holdfast save"), ("gathered pread", "gathered write"))], rounds)
    for size in (1, 10, 100) if quick else (1, 10, 100, 1000, 10_000):
        yield Group(f"size {size}", f"{size:,} MB", workloads.megabytes(size), RAW,
                    [*saves(*RAW, "holdfast save"), *loads(("holdfast restore", "holdfast save"), ("pread", "limit write"))], rounds, states=1.1)
