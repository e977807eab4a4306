"""Pages that are followed as their readers do: programs are compiled, commands are run, and what the tutorial's console sessions print is what is
shown. The sh blocks of every page are run, each in a folder that stands for a clone, but for the commands of blocks.NOT_FOLLOWED.

With HOLDFAST_ACCEPT=1 the tutorial is written anew with what its sessions print."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import blocks
import page
import programs

BUILD = pathlib.Path(programs.PROGRAMS["holdfast"]).resolve().parents[1]
PROGRAM = re.compile(r"`(\w+\.cpp)`[^`]*```cpp\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST_PROGRAM = re.compile(r"^```cpp\n([^`]*int main\([^`]*)^```\n\n```sh\n[^`]* (\w+\.cpp) ", re.MULTILINE)

# The programs of readers who know what to do: they need all that the commands have to find, and compile at once.
PROGRAMS = {
    "program.cpp": '#include <holdfast/core/version.hpp>\n#include <hdf5.h>\n#include <xxhash.h>\nint main() { return H5open() < 0 || XXH3_64bits("", 0) == 0; }\n',
    "ranks.cpp": '#include "program.cpp"\n#include <mpi.h>\nint rank() { return MPI_Finalize(); }\n',
    "device.cpp": '#include "program.cpp"\n#include <cuda_runtime_api.h>\ncudaError_t wait() { return cudaDeviceSynchronize(); }\n',
}
# What root would do to the system is done to a folder; what is installed is what needs no building. Tests are listed, not run.
STAND_INS = {
    "sudo": """case $1 in
  apt) [[ ! $(PATH=/usr/bin type -P apt-get) ]] || exec apt-get --simulate -qq "${@:2}" ;;
  meson) meson setup --reconfigure "$4" --prefix="$PREFIX" && exec "$@" --no-rebuild --tags devel --quiet ;;
  *) exit 1 ;;
esac""",
    "meson": """[[ $1 != test ]] || set -- "$@" --no-rebuild --list
PATH=${PATH#*:} exec meson "$@\"""",
}
# What of their output a reader would look for.
SHOWN = {
    "README.md": [r"step 100, bias 0\.5\n", r"/model/bias +Dataset \{10\}", r"\[0\.  0\.  0\.  0\.5 0\.  0\.  0\.  0\.  0\.  0\. \]\n"],
    "examples/README.md": ["\nidentical\n"],
    "docs/reliability.md": [r":trust\S* / \w+\n"],
}


def lacking(command, block):
    """What not every machine or build has: the command, or all of its block, is not run on others."""
    return (("mpicxx" in command and not shutil.which("mpicxx")) or ("-lcudart" in command and not pathlib.Path("/usr/local/cuda/lib64/libcudart.so").exists())
            or (any("build/examples/" in other for other in block) and not (BUILD / "examples/digits_sgd").exists()))


class Pages(programs.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prefix, stand_ins = cls.folder / "prefix", cls.folder / "stand-ins"
        stand_ins.mkdir()
        for name, text in STAND_INS.items():
            (stand_ins / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
            (stand_ins / name).chmod(0o755)
        cls.environment = {**os.environ, "PATH": f"{stand_ins}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PREFIX": str(cls.prefix), "CMAKE_PREFIX_PATH": str(cls.prefix), "PKG_CONFIG_PATH": str(cls.prefix / "share/pkgconfig")}

    def test_tutorial(self):
        (self.folder / "include").symlink_to(programs.REPOSITORY / "include")
        path = programs.REPOSITORY / "docs/tutorial.md"
        named = PROGRAM.findall(path.read_text(encoding="utf-8"))
        self.assertEqual([name for name, _ in named], ["train.cpp"])
        for name, text in named:
            (self.folder / name).write_text(text, encoding="utf-8")
        page.follow(self, path, self.folder)

    def test_commands(self):
        followed = 0
        for path in blocks.tracked("*.md"):
            name, text = str(path.relative_to(blocks.ROOT)), path.read_text(encoding="utf-8")
            all_commands = [blocks.commands(m[3]) for m in blocks.BLOCK.finditer(text) if m[2] == "sh"]
            shown = ""
            for commands in sorted(all_commands, key=lambda commands: "sudo" not in "".join(commands)):  # what is installed is there for all others
                to_follow = [c for c in commands if not blocks.not_followed(c) and not lacking(c, commands)]
                with self.subTest(page=name, commands=to_follow):
                    clone = self.clone_of_reader(text) if to_follow else None
                    for command in to_follow:
                        shown += self.follow(command, clone)
                        followed += 1
            for expected in SHOWN.get(name, []) if shown else []:
                self.assertRegex(shown, expected)
        self.assertGreater(followed, 15)

    def test_packages(self):
        """Debian's package of the command is built with nothing that the pages do not tell to install."""
        control = (programs.REPOSITORY / "packaging/debian/control").read_text(encoding="utf-8")
        needed = set(re.findall(r"[a-z][\w.+-]+", re.sub(r"\(.*?\)", "", re.search(r"^Build-Depends:(.*?)^\S", control, re.MULTILINE | re.DOTALL)[1])))
        self.assertIn("libfmt-dev", needed)
        for name in "README.md", "docs/install.md":
            named = set(re.findall(r"[a-z][\w.+-]+", (programs.REPOSITORY / name).read_text(encoding="utf-8")))
            self.assertEqual(needed - {"debhelper-compat", "meson", "pkg-config", "python3"} - named, set(), name)

    def clone_of_reader(self, page_text):
        """A folder with what a clone has, and what the page says one has written."""
        clone = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        for path in {name.relative_to(blocks.ROOT).parts[0] for name in blocks.tracked("*")}:
            (clone / path).symlink_to(blocks.ROOT / path)
        (clone / "holdfast").symlink_to(blocks.ROOT)
        (clone / "build").mkdir()
        (clone / "build/gcc").symlink_to(BUILD)
        (clone / "build/examples").symlink_to(BUILD / "examples")
        files = {**PROGRAMS, **{m[2]: m[1] for m in FIRST_PROGRAM.finditer(page_text)}}
        if cmake := re.search(r"^```cmake\n(.*?)^```$", page_text, re.MULTILINE | re.DOTALL):
            files["CMakeLists.txt"] = cmake[1]
        for name, text in files.items():
            (clone / name).write_text(text, encoding="utf-8")
        return clone

    def follow(self, command, clone):
        done = subprocess.run(["bash", "-c", command], cwd=clone, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500)
        self.assertIn(done.returncode, (0, -9) if command.startswith("timeout -s KILL ") else (0,), f"$ {command}\n{done.stdout}")
        if command.startswith("cmake "):  # the machine may have another one
            found = clone / "holdfast" if "holdfast_ROOT" in command else self.prefix
            self.assertIn(str(found) + "/", re.search(r"^holdfast_DIR:PATH=(.*)$", (clone / "build/CMakeCache.txt").read_text(encoding="utf-8"), re.MULTILINE)[1])
        return done.stdout


if __name__ == "__main__":
    programs.main()
