"""What must be reached, one row for each promise, and how it is judged."""

import dataclasses
import statistics

import plan

MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Target:
    """`contender` of `group` must take at most `at_most` times what `baseline` takes, of which the best counts, in the same rounds. For memory
    `at_most` is in bytes, and `states` times the state's size comes on top."""

    work: str
    group: str
    contender: str
    baseline: tuple
    at_most: float
    states: float = 0

    @property
    def is_memory(self):
        return not self.baseline


HOLDFAST, RECYCLED = "holdfast save", "holdfast save, recycled blocks"
TARGETS = [
    Target("durable save, few big", "save few big", HOLDFAST, plan.RAW, 1.05),
    Target("durable save, GPT-2", "save gpt2", HOLDFAST, plan.RAW, 1.05),
    Target("the same with recycled blocks, few big", "save few big", RECYCLED, plan.RAW, 0.65),
    Target("the same with recycled blocks, GPT-2", "save gpt2", RECYCLED, plan.RAW, 0.65),
    Target("digests in a durable save", "save gpt2", HOLDFAST, ("holdfast save, no digests",), 1.02),
    Target("durable save, 20,000 × 1 KiB, replayed", "save small", HOLDFAST, plan.GATHERED, 1.6),
    Target("the same, first time", "save small", "holdfast save, first time", plan.GATHERED, 20),
    Target("save of 2,000 scalars, no fsync", "save scalars", "holdfast save, no fsync", ("torch.save, no fsync",), 1 / 40),
    Target("warm restore, GPT-2, verified", "load gpt2", "holdfast restore", ("pread",), 0.95),
    Target("warm restore, GPT-2, not verified", "load gpt2", "holdfast restore, not verified", ("pread",), 0.85),
    Target("cold restore, GPT-2, verified", "cold gpt2", "holdfast restore", ("WILLNEED + two-thread pread",), 1.05),
    Target("warm open + restore, 20,000 × 1 KiB", "load small", "holdfast restore", ("gathered pread",), 2),
    Target("one tensor of 20,000, open included", "partial", "holdfast one tensor", ("libhdf5 one tensor",), 1 / 8),
    Target("map of the whole state", "load gpt2", "holdfast map", ("pread",), 0.01),
    Target("stall of save_async", "stall gpt2", "holdfast stall", ("streaming copy, two threads",), 1.10),
    Target("stall of save_async beside the save", "stall gpt2", "holdfast stall", (HOLDFAST,), 0.2),
    Target("next pass of the trainer after a stall", "stall gpt2", "pass after holdfast's stall", ("pass over the state",), 1.15),
    Target("peak memory of a save", "memory gpt2", "holdfast save, memory", (), 32 * MIB),
    Target("peak memory of a restore in place", "memory gpt2", "holdfast restore, memory", (), 8 * MIB),
    Target("peak memory of save_async", "memory gpt2", "holdfast save_async, memory", (), 32 * MIB, states=1),
]


def of(only):
    """The targets in groups whose name contains `only`."""
    return [t for t in TARGETS if only in t.group]


def ratio(samples, contender, baselines):
    """The median over the rounds of how many times the best baseline's time a contender took; None if either was not measured."""
    measured = [b for b in baselines if samples.get(b)]
    if not measured or not samples.get(contender):
        return None
    best = min(measured, key=lambda b: statistics.median(samples[b]))
    return statistics.median(a / b for a, b in zip(samples[contender], samples[best]))


def judge(target, results):
    """(what was reached, what is allowed); the first is None if it was not measured."""
    group = results.get(target.group)
    if group is None:
        return None, target.at_most
    if not target.is_memory:
        return ratio(group["samples"], target.contender, target.baseline), target.at_most
    samples = group["samples"].get(target.contender)
    return statistics.median(samples) if samples else None, target.at_most + target.states * group["bytes"]


def shortfalls(chosen, results):
    """The targets that were measured and missed, and those that were not measured."""
    judged = [(t, *judge(t, results)) for t in chosen]
    return [t for t, reached, allowed in judged if reached is not None and reached > allowed], [t for t, reached, _ in judged if reached is None]
