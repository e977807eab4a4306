"""The processes that run contenders, all driven by the line protocol of worker.hpp."""

import subprocess


class Failed(Exception):
    """What a worker could not do, in its words."""


class Worker:
    def __init__(self, command):
        self.name = " ".join(command)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, *words):
        try:
            self._process.stdin.write("\t".join(words) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says it

    def answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"{self.name} ended with status {self._process.wait()}")
        status, *words = line.rstrip("\n").split("\t")
        if status != "ok":
            raise Failed(" ".join(words))
        return words

    def ask(self, *words):
        self.send(*words)
        return self.answer()

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Team:
    """Fresh processes for one workload, for as long as a `with` lasts: those that offer one of the wanted contenders."""

    def __init__(self, offers, wanted, description):
        self._of = {}
        chosen = {c: wanted & names for c, names in offers.items()}
        self._workers = {c: Worker(c) for c, names in chosen.items() if names}
        for c, worker in self._workers.items():
            worker.send("workload", description)
            self._of |= {name: worker for name in chosen[c]}
        self.bytes = max((int(w.answer()[0]) for w in self._workers.values()), default=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for w in self._workers.values():
            w.close()

    def has(self, name):
        return name in self._of

    def run(self, name, path):
        if name not in self._of:
            raise Failed(f"{name} is not installed")
        return float(self._of[name].ask("run", name, str(path))[0])


def look(commands):
    """What each worker offers, and the versions they tell."""
    offers, versions = {}, []
    for c in commands:
        worker = Worker(c)
        offers[c] = set(worker.ask("contenders"))
        versions += worker.ask("versions")
        worker.close()
    return offers, versions
