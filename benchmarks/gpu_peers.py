#!/usr/bin/env python3
"""What benchmarks/gpu.cpp measures, by PyTorch's own ways, on the same tensors: torch.save, safetensors, torch.distributed.checkpoint.

    gpu_peers.py [--gib N] [--rounds N] [--folder DIR] [--json FILE]

Needs torch with CUDA; safetensors where it is installed. Prints a Markdown table; times are medians over rounds in which all take
their turn. Exits with 77 where there is no GPU.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import time

import torch
import torch.distributed.checkpoint as dcp

try:
    import safetensors.torch as safetensors
except ImportError:
    safetensors = None


def seconds(work):
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def sync(path):
    """All files of path, made durable as a checkpoint must be."""
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("."))
    parser.add_argument("--json", type=pathlib.Path)
    chosen = parser.parse_args()
    if not torch.cuda.is_available():
        print("skipped, no GPU that CUDA can use")
        return 77

    state = {f"layers.{i}.weight": torch.ones(8 << 20, device="cuda") for i in range(max(1, int(chosen.gib * 32)))}
    size = sum(t.numel() * t.element_size() for t in state.values())
    pinned = {name: torch.empty(t.shape, pin_memory=True) for name, t in state.items()}
    folder = chosen.folder / "holdfast-gpu-peers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    rows = {}

    def row(what, work):
        rows.setdefault(what, []).append(seconds(work))

    def copy(to, source):
        for name, t in source.items():
            to[name].copy_(t, non_blocking=True)

    def durable(path, save):
        save(path)
        sync(path)

    def through_dcp():
        start = time.perf_counter()
        done = dcp.async_save(state, checkpoint_id=str(folder / "async"))
        rows.setdefault("DCP async_save, the call", []).append(time.perf_counter() - start)
        done.result()

    for _ in range(chosen.rounds + 1):
        row("bare copy from the GPU, page-locked", lambda: copy(pinned, state))
        row("bare copy to the GPU, page-locked", lambda: copy(state, pinned))
        row("torch.save and fsync", lambda: durable(folder / "a.pt", lambda path: torch.save(state, path)))
        row("torch.load to the GPU, in the page cache", lambda: torch.load(folder / "a.pt", map_location="cuda"))
        if safetensors:
            row("safetensors save_file and fsync", lambda: durable(folder / "a.safetensors", lambda path: safetensors.save_file(state, path)))
            row("safetensors load_file to the GPU, in the page cache", lambda: safetensors.load_file(folder / "a.safetensors", device="cuda"))
        row("DCP save", lambda: dcp.save(state, checkpoint_id=str(folder / "sync")))
        row("DCP load into the tensors, in the page cache", lambda: dcp.load(state, checkpoint_id=str(folder / "sync")))
        row("DCP async_save, until it is written", through_dcp)
    shutil.rmtree(folder)

    medians = {what: statistics.median(times[1:]) for what, times in rows.items()}  # the first round warms up
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} threads, {size / 1e9:.2f} GB\n\n| | s | GB/s |\n|---|---|---|")
    for what, median in medians.items():
        print(f"| {what} | {median:.4f} | {size / median / 1e9:.2f} |")
    if chosen.json:
        chosen.json.write_text(json.dumps({"device": torch.cuda.get_device_name(), "torch": torch.__version__, "bytes": size, "seconds": medians}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
