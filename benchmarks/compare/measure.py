"""Interleaved rounds: in each, every contender runs once, in a new order."""

import contextlib
import os
import random
import shutil
import time

from workers import Failed, Team

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


def forget(path):
    """Deletes a file. A folder is a contender's own, which it keeps between rounds."""
    if path.is_file():
        path.unlink()


class Session:
    """Measures groups that have the same tensors, in one folder, with the processes of one team. What those that load read is made once."""

    def __init__(self, team, folder, rng):
        self.team, self.folder, self.rng = team, folder, rng
        self.made = {}  # by maker: the file, or why there is none

    def path(self, contender):
        return self.folder / ("".join(ch if ch.isalnum() else "-" for ch in contender))

    def settle(self):
        """Makes every sample begin alike: nothing waits to be written, and the machine has as much memory at hand as the sample may need. A
        virtual machine's free memory goes back to its host within seconds, and touching it again takes longer than what is measured here."""
        os.sync()
        throw_away = self.folder / "throw-away"
        with open(throw_away, "wb", buffering=0) as file:
            for at in range(0, self.team.bytes, len(PIECE)):
                file.write(PIECE[:min(len(PIECE), self.team.bytes - at)])
        throw_away.unlink()

    def file_of(self, maker):
        """The file that `maker` has written for those that load."""
        if maker not in self.made:
            path = self.path(f"made by {maker}")
            try:
                self.team.run(maker, path)
                self.made[maker] = path
            except Failed as e:
                self.made[maker] = str(e)
        if isinstance(self.made[maker], str):
            raise Failed(f"no file to read: {self.made[maker]}")
        return self.made[maker]

    def sample(self, contender):
        path = self.file_of(contender.reads) if contender.reads else self.path(contender.name)
        self.settle()
        if contender.reads and contender.cold:
            drop(path)
        elif contender.reads:
            read_through(path)
        value = self.team.run(contender.name, path)
        if not contender.reads:
            forget(path)
        return value

    def run(self, group):
        start = time.monotonic()
        values, missing = {}, {c.name: "not installed" for c in group.contenders if not self.team.has(c.name)}
        for i in range(group.rounds + 1):  # the first fills what holdfast and the limits keep, and does not count
            for c in self.rng.sample(group.contenders, len(group.contenders)):
                if c.name in missing or (i == 0 and c.is_peer):
                    continue
                try:
                    value = self.sample(c)
                except Failed as e:
                    missing[c.name] = str(e)
                    values.pop(c.name, None)
                    continue
                if i > 0:
                    values.setdefault(c.name, []).append(value)
        return {"title": group.title, "bytes": self.team.bytes, "tensors": len(group.tensors), "baseline": list(group.baseline), "samples": values,
                "missing": missing, "took": round(time.monotonic() - start, 1)}


@contextlib.contextmanager
def session(groups, offers, folder, seed):
    """A session for groups with the same tensors, in fresh processes and an empty folder, which is gone afterwards."""
    folder.mkdir(parents=True)
    try:
        description = folder / "tensors.txt"
        description.write_text("\n".join(groups[0].tensors) + "\n", encoding="utf-8")
        wanted = {n for g in groups for c in g.contenders for n in (c.name, c.reads) if n}
        with Team(offers, wanted, str(description)) as team:
            yield Session(team, folder, random.Random(f"{seed} {groups[0].name}"))
    finally:
        shutil.rmtree(folder)
