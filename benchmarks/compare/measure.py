"""Interleaved rounds: in each, every contender runs once, in a new order."""

import os
import pathlib
import random
import shutil
import time

from workers import Failed, Team

DROP_CACHES = pathlib.Path("/proc/sys/vm/drop_caches")
PIECE = memoryview(bytes(8 << 20))


def read_through(path):
    """Has a file in the page cache."""
    with open(path, "rb", buffering=0) as file:
        while file.read(len(PIECE)):
            pass


def drop(path):
    """Has a file out of the page cache."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    try:
        DROP_CACHES.write_text("1", encoding="ascii")  # a second way, for who may
    except OSError:
        pass


def forget(path):
    """Deletes a file. A folder is a contender's own, which it keeps between rounds."""
    if path.is_file():
        path.unlink()


class Samples:
    """The measurements of one group in one folder."""

    def __init__(self, group, team, folder, size):
        self.group, self.team, self.folder, self.size = group, team, folder, size
        self.values = {}
        self.missing = {c.name: "not installed" for c in group.contenders if not team.has(c.name)}

    def path(self, contender):
        return self.folder / ("".join(ch if ch.isalnum() else "-" for ch in contender))

    def file_of(self, maker):
        """What `maker` has written for those that load."""
        return self.path(f"made by {maker}")

    def settle(self):
        """Makes every sample begin alike: nothing waits to be written, and the machine has as much memory at hand as the sample may need. A
        virtual machine's free memory goes back to its host within seconds, and touching it again takes longer than what is measured here."""
        os.sync()
        throw_away = self.folder / "throw-away"
        with open(throw_away, "wb", buffering=0) as file:
            for at in range(0, self.size, len(PIECE)):
                file.write(PIECE[:min(len(PIECE), self.size - at)])
        throw_away.unlink()

    def make_files(self):
        for maker in dict.fromkeys(c.reads for c in self.group.contenders if c.reads and c.name not in self.missing):
            try:
                self.team.run(maker, self.file_of(maker))
            except (Failed, KeyError) as e:
                self.missing |= {c.name: f"no file to read: {e}" for c in self.group.contenders if c.reads == maker}

    def sample(self, contender, counts):
        path = self.file_of(contender.reads) if contender.reads else self.path(contender.name)
        self.settle()
        if contender.reads and contender.cold:
            drop(path)
        elif contender.reads:
            read_through(path)
        try:
            value = self.team.run(contender.name, path)
        except Failed as e:
            self.missing[contender.name] = str(e)
            self.values.pop(contender.name, None)
            return
        if not contender.reads:
            forget(path)
        if counts:
            self.values.setdefault(contender.name, []).append(value)

    def run(self, rng):
        self.make_files()
        for i in range(self.group.rounds + 1):  # the first only makes everything warm
            for c in rng.sample(self.group.contenders, len(self.group.contenders)):
                if c.name not in self.missing:
                    self.sample(c, counts=i > 0)
        return self.values, self.missing


def measure(group, commands, offers, folder, seed):
    """One group, in fresh processes and an empty folder, which is gone afterwards."""
    start = time.monotonic()
    folder.mkdir(parents=True)
    try:
        description = folder / "tensors.txt"
        description.write_text("\n".join(group.tensors) + "\n", encoding="utf-8")
        wanted = {c.name for c in group.contenders} | {c.reads for c in group.contenders if c.reads}
        with Team(commands, offers, wanted, str(description)) as team:
            values, missing = Samples(group, team, folder, team.bytes).run(random.Random(f"{seed} {group.name}"))
            size = team.bytes
    finally:
        shutil.rmtree(folder)
    return {"title": group.title, "bytes": size, "tensors": len(group.tensors), "baseline": list(group.baseline), "samples": values, "missing": missing,
            "took": round(time.monotonic() - start, 1)}
