// The `holdfast` command: its command line. Each command is in a file of its name.
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "tool.hpp"

namespace {

/// The command line, and what to run for it.
class command_line {
 public:
  command_line() {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", HOLDFAST_VERSION);
    app_.get_formatter()->column_width(28);
    app_.footer("Exit status: 0 all is well, or equal; 1 damaged, or different; 2 it could not be done.\nA folder of checkpoints stands for the newest in it that is whole.\nholdfast COMMAND --help has examples.\n");
    add_ls();
    add_show();
    add_verify();
    add_diff();
  }

  int run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::Success& e) {
      return app_.exit(e);
    } catch (const CLI::ParseError& e) {
      const auto parsed = app_.get_subcommands();
      if (parsed.empty() && argc > 1 && *argv[1] != '-') throw holdfast::error("command line: no command is named \"" + std::string(argv[1]) + "\"; see holdfast --help");
      throw holdfast::error("command line: " + std::string(e.what()) + "; see holdfast " + (parsed.empty() ? "" : parsed.front()->get_name() + " ") + "--help");
    }
    return runs_.at(app_.get_subcommands().front())();
  }

 private:
  template <class Options>
  CLI::App* add(const char* name, const char* what, const char* examples, Options& options, int (*command)(const Options&)) {
    CLI::App* const sub = app_.add_subcommand(name, what);
    sub->footer(std::string("Examples:\n") + examples + "\n");
    sub->get_formatter()->column_width(28);
    runs_[sub] = [&options, command] { return command(options); };
    return sub;
  }

  static void add_trust(CLI::App* to, holdfast::trust& trust) {
    const std::map<std::string, holdfast::trust> names{{"sealed", holdfast::trust::sealed_only}, {"foreign", holdfast::trust::foreign}};
    to->add_option("--trust", trust, "foreign: read any HDF5 file, through libhdf5 and unverified; only files of an origin you trust")->transform(CLI::CheckedTransformer(names))->option_text("sealed|foreign");
  }

  static void add_patterns(CLI::App* to, const char* name, std::vector<std::string>& patterns, const char* what) {
    to->add_option(name, patterns, what)->allow_extra_args(false)->option_text("PATTERN ...");
  }

  void add_ls() {
    CLI::App* const c = add("ls", "What is in a checkpoint: names, types, shapes, bytes",
                            "  holdfast ls run.h5\n  holdfast ls runs/exp1 --only 'model/**'\n  holdfast ls --json run.h5 | jq '.entries[].path'", ls_, &tool::ls);
    c->add_option("file", ls_.file, "a checkpoint, or a folder of them")->required()->option_text("FILE");
    add_patterns(c, "--only", ls_.only, "only paths that match: * is any text inside a component, ** any text, ? one character");
    c->add_flag("--flat", ls_.flat, "one whole path a line, instead of a tree");
    c->add_flag("--json", ls_.json, "as JSON");
    add_trust(c, ls_.trust);
  }

  void add_show() {
    CLI::App* const c = add("show", "Values and statistics of a tensor, or of all below a group",
                            "  holdfast show run.h5 model/fc1.weight\n  holdfast show run.h5 optimizer\n  holdfast show --json --all run.h5 model/fc1.bias", show_, &tool::show);
    c->add_option("file", show_.file, "a checkpoint, or a folder of them")->required()->option_text("FILE");
    c->add_option("path", show_.path, "of a tensor or group; without it, of everything")->option_text("PATH");
    c->add_flag("--all", show_.all, "all values, however many");
    c->add_flag("--json", show_.json, "as JSON");
    add_trust(c, show_.trust);
  }

  void add_verify() {
    CLI::App* const c = add("verify", "Compares every byte with its digest, and the index with what HDF5 programs see",
                            "  holdfast verify run.h5\n  holdfast verify runs/exp1/*.h5", verify_, &tool::verify);
    c->add_option("file", verify_.files, "checkpoints, or folders of them")->required()->option_text("FILE ...");
    c->add_flag("--json", verify_.json, "as JSON");
  }

  void add_diff() {
    CLI::App* const c = add("diff", "Where two checkpoints differ: structure, and values bit by bit",
                            "  holdfast diff a.h5 b.h5\n  holdfast diff --ulps 4 a.h5 b.h5", diff_, &tool::diff);
    c->add_option("a", diff_.a, "a checkpoint, or a folder of them")->required()->option_text("A");
    c->add_option("b", diff_.b, "another")->required()->option_text("B");
    c->add_option("--ulps", diff_.ulps, "let floating-point numbers differ by so many units in the last place")->option_text("N");
    c->add_option("--relative", diff_.relative, "let them differ by |a - b| <= X max(|a|, |b|)")->check(CLI::NonNegativeNumber)->option_text("X");
    c->add_flag("--json", diff_.json, "as JSON");
    add_trust(c, diff_.trust);
  }

  CLI::App app_{"Looks at, compares, keeps and converts holdfast checkpoints.", "holdfast"};
  std::map<const CLI::App*, std::function<int()>> runs_;
  tool::ls_options ls_;
  tool::show_options show_;
  tool::verify_options verify_;
  tool::diff_options diff_;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    return command_line().run(argc, argv);
  } catch (const std::exception& e) {
    tool::complain(e);
    return tool::trouble;
  }
}
