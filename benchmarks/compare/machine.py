"""What the figures were measured on."""

import os
import pathlib
import platform
import subprocess


def output(*command):
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def field(path, key):
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return "unknown"


def system():
    for line in pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines() if os.path.exists("/etc/os-release") else []:
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return platform.system()


def available_memory():
    return int(field("/proc/meminfo", "MemAvailable").split()[0]) * 1024


def free_disk(folder):
    s = os.statvfs(folder)
    return s.f_bavail * s.f_frsize


def file_system(folder):
    return output("stat", "--file-system", "--format", "%T", str(folder))


def describe(folder, versions):
    huge = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "processor": f"{field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores seen",
        "memory": field("/proc/meminfo", "MemTotal"),
        "huge pages": huge.read_text(encoding="ascii").strip() if huge.exists() else "unknown",
        "file system": " ".join(output("findmnt", "-no", "FSTYPE,SOURCE,OPTIONS", "-T", str(folder)).split()),
        "kernel": platform.release(),
        "system": system(),
        "compiler": output(os.environ.get("CXX", "c++"), "--version").splitlines()[0],
        "holdfast": output("git", "-C", str(pathlib.Path(__file__).parent), "describe", "--always", "--dirty"),
        "libraries": ", ".join(versions),
    }
