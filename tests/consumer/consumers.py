#!/usr/bin/python3
"""Other projects use holdfast: program.cpp is built with -I include, pkg-config, CMake, as a subproject of Meson, and with the one header
of scripts/amalgamate, and runs. Versions are the same wherever they are said.

  consumers.py BUILD VERSION [COMPONENT...]     COMPONENT: those of the CMake package whose libraries are here
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CXX = shlex.split(os.environ.get("CXX", "c++"))
STRICT = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
BUILD, VERSION, COMPONENTS = "", "", []
# Of each component of the CMake package: a header that needs its library's headers, and what needs the library itself where there is one.
# adapters/torch.hpp would take as long as all others.
COMPONENT_PROGRAMS = {
    "armadillo": ("holdfast/adapters/armadillo.hpp", "arma::solve(arma::mat(2, 2, arma::fill::eye), arma::vec(2, arma::fill::ones)).is_finite() ? 0 : 1"),
    "cereal": ("holdfast/adapters/cereal.hpp", "0"),
    "cuda": ("holdfast/cuda.hpp", "cudaDeviceSynchronize() == cudaErrorInvalidValue"),
    "eigen": ("holdfast/adapters/eigen.hpp", "Eigen::Matrix2f::Identity().sum() == 2 ? 0 : 1"),
    "mpi": ("holdfast/mpi.hpp", "[] { int major = 0, minor = 0; return MPI_Get_version(&major, &minor) != MPI_SUCCESS; }()"),
    "npz": ("holdfast/adapters/npz.hpp", "zip_libzip_version()[0] == 0"),
    "openssl": ("holdfast/adapters/openssl.hpp", "holdfast::hmac_sha256(\"0123456789abcdef\") == nullptr"),
    "safetensors": ("holdfast/adapters/safetensors.hpp", "nlohmann::json(1).dump() == \"1\" ? 0 : 1"),
    "torch": ("ATen/Parallel.h", "at::get_num_threads() < 1"),
    "xtensor": ("holdfast/adapters/xtensor.hpp", "0"),
}


def run(*command, cwd=None, **environment):
    """What the command printed; its output is part of the error if it fails."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise AssertionError(f"{shlex.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def pkg_config(*arguments, **environment):
    return shlex.split(run("pkg-config", *arguments, **environment))


def as_system(flags):
    return [flag.replace("-I", "-isystem") for flag in flags]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def block(language, number=0):
    """One of the language in docs/install.md."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text("docs/install.md"), re.MULTILINE | re.DOTALL)[number]


class Consumers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="consumers-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.prefix = cls.folder / "prefix"
        off = [f"-D{option}=disabled" for option in ("tests", "examples", "tools", "adapters", "torch", "cuda", "mpi")]
        run("meson", "setup", *off, f"--prefix={cls.prefix}", cls.folder / "install", ROOT)
        run("meson", "install", "-C", cls.folder / "install")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def project(self, build_file, language):
        """A folder with program.cpp and a build file, which is a block of docs/install.md."""
        folder = self.folder / language
        folder.mkdir()
        shutil.copy(HERE / "program.cpp", folder)
        (folder / build_file).write_text(block(language))
        return folder

    def check(self, program):
        """It saves and restores, and was compiled with this version."""
        self.assertEqual(run(program, self.folder / f"{self.id()}.h5").strip(), VERSION)

    def test_include_folder_and_pkg_config(self):
        """Both give the compiler the same text, which is compiled once."""
        path = {"PKG_CONFIG_PATH": str(self.prefix / "share/pkgconfig")}
        self.assertEqual(run("pkg-config", "--modversion", "holdfast", **path).strip(), VERSION)
        self.assertNotIn(os.uname().machine, (self.prefix / "share/pkgconfig/holdfast.pc").read_text())
        plain, needed = self.folder / "program.o", ("hdf5-serial", "libxxhash")
        run(*CXX, *STRICT, f"-I{ROOT / 'include'}", *as_system(pkg_config("--cflags", *needed)), "-c", HERE / "program.cpp", "-o", plain)
        texts = [run(*CXX, "-std=c++20", "-E", "-P", *flags, HERE / "program.cpp")
                 for flags in ([f"-I{ROOT / 'include'}", *pkg_config("--cflags", *needed)], pkg_config("--cflags", "holdfast", **path))]
        self.assertTrue(texts[0] == texts[1], "pkg-config's flags find other headers")
        for name, libraries in (("plain", pkg_config("--libs", *needed)), ("by_pkg_config", pkg_config("--libs", "holdfast", **path))):
            run(*CXX, plain, "-o", self.folder / name, *libraries)
            self.check(self.folder / name)

    def test_cmake(self):
        """As docs/install.md has it. The installed package is built with; that of the source tree is found, with its headers."""
        project = self.project("CMakeLists.txt", "cmake")
        for name, root, headers in (("installed", self.prefix, self.prefix / "include"), ("source", ROOT / "packaging/cmake", ROOT / "include")):
            build = project / name
            run("cmake", "-S", project, "-B", build, f"-Dholdfast_ROOT={root}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
            self.assertIn(f"{headers} ", (build / "compile_commands.json").read_text())
        run("cmake", "--build", project / "installed")
        self.check(project / "installed/program")

    def test_cmake_fetches(self):
        """As docs/install.md has it, but that nothing is left to fetch."""
        folder = self.folder / "fetch"
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.16)\nproject(fetches CXX)\ninclude(FetchContent)\n" + block("cmake", 1) + 'message(STATUS "in ${holdfast_DIR}")\n')
        self.assertIn(f"-- in {ROOT}/packaging/cmake", run("cmake", "-S", folder, "-B", folder / "build", f"-DFETCHCONTENT_SOURCE_DIR_HOLDFAST={ROOT}"))

    def test_cmake_finds(self):
        """Components whose libraries are here, which a program of each needs and gets, and versions that are compatible, and no others."""
        major, minor, patch = map(int, VERSION.split("."))
        asked = {VERSION: True, f"{major}.{minor}": True, f"{major}.{minor}.{patch + 1}": False, f"{major}.{minor + 1}": False, f"{major + 1}.{minor}": False,
                 f"{major}.{minor}...{major}.{minor + 1}": True, f"{major}.{minor + 1}...{major + 9}": False, f"{major}.0...<{VERSION}": False,
                 "COMPONENTS no_such_thing": False, "OPTIONAL_COMPONENTS no_such_thing": True, **{f"COMPONENTS {name}": True for name in COMPONENTS}}
        folder = self.folder / "cmake_finds"
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.19)\nproject(asked CXX)\n" + "".join(
            f"find_package(holdfast {what} QUIET)\nmessage(STATUS \"asked {what}: ${{holdfast_FOUND}}\")\n" for what in asked)
            + "message(STATUS \"version ${holdfast_VERSION}\")\n" + "".join(
            f"if(NOT TARGET holdfast::{name})\n  message(FATAL_ERROR \"no holdfast::{name}\")\nendif()\n" for name in ["holdfast", *COMPONENTS]))
        with open(folder / "CMakeLists.txt", "a") as file:
            for name in COMPONENTS:
                header, value = COMPONENT_PROGRAMS[name]
                (folder / f"{name}.cpp").write_text(f"#include <{header}>\nint main() {{ return {value}; }}\n")
                file.write(f"add_executable(with_{name} {name}.cpp)\ntarget_link_libraries(with_{name} PRIVATE holdfast::{name})\n")
        said = run("cmake", "-S", folder, "-B", folder / "build", f"-Dholdfast_ROOT={self.prefix}")
        self.assertEqual(dict(re.findall(r"-- asked (.*): (\w+)", said)), {what: str(int(found)) for what, found in asked.items()})
        self.assertIn(f"-- version {VERSION}\n", said)
        run("cmake", "--build", folder / "build", "--parallel", "2")
        for name in COMPONENTS:
            run(folder / "build" / f"with_{name}")

    def test_meson_subproject(self):
        """As docs/install.md has it, but that the wrap has nothing left to fetch. Of holdfast nothing is built."""
        project = self.project("meson.build", "meson")
        (project / "subprojects").mkdir()
        (project / "subprojects/holdfast.wrap").write_text(block("ini"))
        (project / "subprojects/holdfast").symlink_to(ROOT)
        said = run("meson", "setup", project / "build", project)
        self.assertIn(f"Dependency holdfast found: YES {VERSION}", said)
        self.assertEqual(re.findall(r"^build (\S+): cpp_LINKER", (project / "build/build.ninja").read_text(), re.MULTILINE), ["program"])
        run("ninja", "-C", project / "build", "program")
        self.check(project / "build/program")

    def test_single_header(self):
        """Two units that include it link, and one restores what the other saved."""
        single = self.folder / "single/holdfast"
        (single / "testing").mkdir(parents=True)
        (single / "holdfast.hpp").write_text(run(ROOT / "scripts/amalgamate"))
        (single / "testing/resume_equivalence.hpp").touch()
        run(*CXX, *STRICT, f"-I{single.parent}", *as_system(pkg_config("--cflags", "hdf5-serial", "libxxhash")),
            *(ROOT / f"tests/odr/{unit}.cpp" for unit in ("main", "first", "second")), "-o", self.folder / "single/program", *pkg_config("--libs", "hdf5-serial", "libxxhash"))
        run(self.folder / "single/program", TMPDIR=str(self.folder))

    def test_development_environment(self):
        devenv = ["meson", "devenv", "-C", self.folder / "install"]
        run(*devenv, *CXX, "-std=c++20", "-fsyntax-only", "-x", "c++", "-include", "holdfast/core/version.hpp", os.devnull)
        self.assertIn(str(ROOT / "python"), run(*devenv, sys.executable, "-c", "import holdfast; print(holdfast.__file__)"))

    def test_the_command_is_installed(self):
        """With its man page and completions."""
        installed = json.loads(run("meson", "introspect", "--installed", BUILD))
        if not any(path.endswith("/tools/holdfast") for path in installed):
            self.skipTest("the command is not built")
        for path in ("bin/holdfast", "share/man/man1/holdfast.1", "share/bash-completion/completions/holdfast", "share/zsh/site-functions/_holdfast",
                     "share/fish/vendor_completions.d/holdfast.fish", "share/licenses/holdfast/LICENSE"):
            self.assertTrue(any(to.endswith(f"/{path}") for to in installed.values()), path)

    def test_versions(self):
        self.assertEqual(".".join(re.findall(r"#define HOLDFAST_VERSION_\w+ (\d+)", text("include/holdfast/core/version.hpp"))), VERSION)
        self.assertEqual(re.search(r'^version = "(.*)"', text("python/pyproject.toml"), re.MULTILINE)[1], VERSION)
        self.assertEqual(re.search(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)[1], VERSION)
        self.assertEqual(re.match(r"holdfast \((.*)-\d+\)", text("packaging/debian/changelog"))[1], VERSION)

    def test_every_format_version_has_a_golden_file(self):
        newest = int(re.search(r"format_version = (\d+);", text("include/holdfast/core/version.hpp"))[1])
        found = set()
        for file in (ROOT / "tests/data").glob("golden-v*.h5"):
            magic, version = struct.unpack("<8sI", file.read_bytes()[-192:-180])
            self.assertEqual((magic, f"golden-v{version}"), (b"HOLDFAST", re.match(r"golden-v\d+", file.name)[0]), file)
            found.add(version)
        self.assertEqual(found, set(range(1, newest + 1)))


if __name__ == "__main__":
    BUILD, VERSION, *COMPONENTS = sys.argv[1:]
    unittest.main(argv=sys.argv[:1], verbosity=2)
