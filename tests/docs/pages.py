"""Pages that are followed from top to bottom: their programs are compiled and what their console sessions print is what is shown (README.md shows no output).

With HOLDFAST_ACCEPT=1 the tutorial is written anew with what they print."""

import re

import page
import programs

PROGRAM = re.compile(r"`(\w+\.cpp)`[^`]*```cpp\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Pages(programs.Case):
    def setUp(self):
        (self.folder / "include").unlink(missing_ok=True)
        (self.folder / "include").symlink_to(programs.REPOSITORY / "include")

    def test_tutorial(self):
        path = programs.REPOSITORY / "docs/tutorial.md"
        named = PROGRAM.findall(path.read_text(encoding="utf-8"))
        self.assertEqual([name for name, _ in named], ["train.cpp"])
        for name, text in named:
            (self.folder / name).write_text(text, encoding="utf-8")
        page.follow(self, path, self.folder)

    def test_first_program(self):
        text = (programs.REPOSITORY / "README.md").read_text(encoding="utf-8")
        program, commands = re.search(r"^```cpp\n([^`]*int main\([^`]*)^```\n\n```sh\n([^`]*)^```$", text, re.MULTILINE).groups()
        (self.folder / "first.cpp").write_text(program, encoding="utf-8")
        shown = page.run("set -e\n" + commands, self.folder)
        self.assertIn("step 100, bias 0.5\n", shown)
        self.assertRegex(shown, r"/model/bias +Dataset \{10\}")
        self.assertTrue(shown.endswith("[0.  0.  0.  0.5 0.  0.  0.  0.  0.  0. ]\n"), shown)


if __name__ == "__main__":
    programs.main()
