"""What runs: groups of contenders over one workload, each once in every round."""

import dataclasses

import workloads


@dataclasses.dataclass(frozen=True)
class Contender:
    """`name` is what a worker knows it by. One that loads reads the file that the contender `reads` made."""

    name: str
    reads: str = ""
    cold: bool = False  # whether the file is dropped from the page cache first


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


SAVE_PEERS = ["safetensors layout in C++", "cereal", "H5Dwrite", "HighFive", "libtorch", "torch.save", "safetensors", "h5py"]
LOAD_PEERS = [("safetensors layout in C++, load", "safetensors layout in C++"), ("cereal, load", "cereal"), ("H5Dread", "H5Dwrite"),
              ("HighFive, load", "HighFive"), ("libtorch, load", "libtorch"), ("torch.load", "torch.save"),
              ("safetensors, load", "safetensors"), ("h5py, read_direct", "h5py")]
RAW, GATHERED = "limit write", ("gathered write", "gathered write, direct")


def saves(*names):
    return [Contender(name) for name in names]


def loads(*pairs, cold=False):
    return [Contender(name, reads, cold) for name, reads in pairs]


def groups(quick, rounds):
    """All groups; a quick run has fewer layers, smaller states and fewer rounds."""
    gpt2 = workloads.gpt2(layers=2, words=12_500) if quick else workloads.gpt2()
    small = workloads.small(20_000)
    gpt2_title = "GPT-2 124M with AdamW" + (", 2 of its 12 layers and a quarter of its words" if quick else "")
    npz, npz_load = ["numpy.savez"], [("numpy.load", "numpy.savez")]
    slow_rounds = max(1, rounds // 2)
    few_big = 4 if quick else 24

    yield Group("save few big", f"Durable save, {few_big} tensors of 64 MiB", workloads.few_big(few_big), (RAW,),
                saves(RAW, "holdfast save", "holdfast save, recycled blocks", *([] if quick else SAVE_PEERS + npz)), rounds)
    yield Group("save gpt2", f"Durable save, {gpt2_title}", gpt2, (RAW,),
                saves(RAW, "holdfast save", "holdfast save, buffered", "holdfast save, no digests", "holdfast save, recycled blocks", "XXH3 of the state", *SAVE_PEERS, *npz), rounds)
    yield Group("load gpt2", f"Warm load, {gpt2_title}", gpt2, ("pread",),
                loads(("pread", RAW), ("holdfast restore", "holdfast save"), ("holdfast restore, not verified", "holdfast save"),
                      ("holdfast map", "holdfast save"), *LOAD_PEERS, *npz_load), rounds)
    yield Group("cold gpt2", f"Cold load, {gpt2_title}", gpt2, ("WILLNEED + two-thread pread",),
                loads(("WILLNEED + two-thread pread", RAW), ("holdfast restore", "holdfast save"), ("holdfast map", "holdfast save"), *LOAD_PEERS,
                      *npz_load, cold=True), rounds)
    yield Group("memory gpt2", f"Peak memory beside the state, {gpt2_title}", gpt2, (),
                [*saves("holdfast save, memory", "holdfast save_async, memory"),
                 *loads(("holdfast restore, memory", "holdfast save"), ("torch.load, memory", "torch.save"))], min(rounds, 3))
    # Last: the passes change the tensors, which loads compare with what was saved.
    yield Group("stall gpt2", f"Saving in the background, {gpt2_title}", gpt2, ("streaming copy, two threads",),
                saves("streaming copy, two threads", "holdfast stall", "holdfast save", "pass over the state", "pass after holdfast's stall"), rounds)
    yield Group("save small", "Durable save, 20,000 tensors of 1 KiB", small, GATHERED,
                saves(*GATHERED, "holdfast save", "holdfast save, first time", *SAVE_PEERS), rounds)
    yield Group("load small", "Warm open and load, 20,000 tensors of 1 KiB", small, ("gathered pread",),
                loads(("gathered pread", "gathered write"), ("holdfast restore", "holdfast save"), ("holdfast map", "holdfast save"), *LOAD_PEERS), rounds)
    yield Group("partial", "One tensor of 20,000, warm, open included", small, ("libhdf5 one tensor",),
                loads(("libhdf5 one tensor", "H5Dwrite"), ("holdfast one tensor", "holdfast save"), ("h5py one tensor", "h5py"),
                      ("safetensors one tensor", "safetensors"), ("torch.load", "torch.save")), rounds)
    yield Group("save scalars", "Save of 2,000 scalars without fsync", workloads.scalars(2000), ("torch.save, no fsync",),
                saves("torch.save, no fsync", "holdfast save, no fsync", *(f"{p}, no fsync" for p in SAVE_PEERS if p != "torch.save")), rounds)
    for count in (1, 10, 100, 1000, 10_000) if quick else (1, 10, 100, 1000, 10_000, 100_000):
        yield Group(f"count {count}", f"{count:,} tensors of 1 KiB", workloads.small(count), GATHERED,
                    [*saves(*GATHERED, "holdfast save", "holdfast save, first time"),
                     *loads(("holdfast restore", "holdfast save"), ("gathered pread", "gathered write"))], slow_rounds if quick else rounds)
    for size in (1, 10, 100) if quick else (1, 10, 100, 1000, 10_000):
        yield Group(f"size {size}", f"{size:,} MB", workloads.megabytes(size), (RAW,),
                    [*saves(RAW, "holdfast save"), *loads(("holdfast restore", "holdfast save"), ("pread", RAW))], slow_rounds, states=1.1)
