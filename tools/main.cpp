// The `holdfast` command: its command line. Each command is in a file of its name.
#include <algorithm>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <holdfast/core/version.hpp>

#include "commands.hpp"
#include "complete.hpp"
#include "tool.hpp"

namespace {

/// The command line, and what to run for it.
class command_line {
 public:
  command_line() {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", HOLDFAST_VERSION);
    app_.get_formatter()->column_width(28);
    app_.footer("Exit status: 0 all is well, or equal; 1 damaged, or different; 2 it could not be done.\nA folder of checkpoints stands for the newest in it that looks whole.\nholdfast COMMAND --help has examples.\n");
    add_ls();
    add_show();
    add_verify();
    add_diff();
    add_history();
    add_report();
    add_prune();
    add_seal();
    add_extract();
    add_merge();
    add_import();
    add_export();
    for (const auto& [command, key] : keys_) add_key(command, *key);
  }

  int run(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == "--complete") return complete({argv + 2, argv + argc});
    if (argc > 1 && std::string_view(argv[1]) == "--man") return tool::print(manual()), tool::fine;
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
    keys_.emplace_back(sub, &options.key);
    runs_[sub] = [&options, command] { return command(options); };
    return sub;
  }

  std::vector<CLI::App*> commands() {
    return app_.get_subcommands([](CLI::App*) { return true; });
  }

  static std::vector<std::string> names_of(const CLI::Option& o) {
    std::vector<std::string> names;
    for (const std::string& n : o.get_snames()) names.push_back("-" + n);
    for (const std::string& n : o.get_lnames()) names.push_back("--" + n);
    return names;
  }

  /// Prints how the last of some words may go on: for the shells, as completions/holdfast.bash. Nothing: the name of a file.
  int complete(const std::vector<std::string>& words) {
    if (words.empty()) return tool::fine;
    const std::string& typed = words.back();
    const auto all = commands();
    const auto named = std::find_if(all.begin(), all.end(), [&](const CLI::App* c) { return words.size() > 1 && c->get_name() == words.front(); });
    std::vector<std::string> found;
    if (words.size() == 1)
      for (const CLI::App* c : all) found.push_back(c->get_name());
    else if (named == all.end()) return tool::fine;
    CLI::App& command = words.size() == 1 ? app_ : **named;
    std::string before;  // what an option that has just been named takes
    for (const CLI::Option* o : command.get_options()) {
      const auto names = names_of(*o);
      if (typed.starts_with('-')) found.insert(found.end(), names.begin(), names.end());
      if (words.size() > 1 && std::find(names.begin(), names.end(), words[words.size() - 2]) != names.end()) before = o->get_option_text();
    }
    if (before.find('|') != std::string::npos) {
      found = {before.substr(0, before.find('|')), before.substr(before.find('|') + 1)};
    } else if (before.starts_with("PATTERN") || (before.empty() && words.size() > 2 && command.get_name() == "show" && !typed.starts_with('-'))) {
      try {
        found = tool::paths_in({words.begin() + 1, words.end() - 1}, typed);
      } catch (const std::exception&) {  // then there is nothing to offer
      }
    }
    for (const std::string& f : found)
      if (f.starts_with(typed)) tool::print(f + "\n");
    return tool::fine;
  }

  /// Text as the man page has it.
  static std::string roff(const std::string& text) {
    std::string s;
    for (const char c : text) s += c == '-' ? "\\-" : c == '\\' ? "\\e"
                                                                : std::string(1, c);
    return s;
  }

  /// The man page, so that it says what --help says.
  std::string manual() {
    std::string s = ".TH HOLDFAST 1 \"\" \"holdfast " HOLDFAST_VERSION "\" \"User Commands\"\n.SH NAME\nholdfast \\- " + roff(lower(app_.get_description())) +
                    "\n.SH SYNOPSIS\n.B holdfast\n.I COMMAND\n[\\fIOPTIONS\\fR] \\fIFILE\\fR ...\n.SH DESCRIPTION\nA checkpoint of the holdfast library is one HDF5 file that holds the whole state of a training run.\n"
                    "A folder of checkpoints stands for the newest in it that looks whole.\nIn a pattern * is any text inside a component of a path, ** any text and ? one character; one that matches a group matches all below it.\n.SH COMMANDS\n";
    for (const CLI::App* c : commands()) {
      std::string usage = c->get_name() + " [OPTIONS]", options;
      for (const CLI::Option* o : c->get_options()) {
        const std::string takes = o->get_option_text();
        if (o->get_positional()) {
          usage += " " + (o->get_required() ? takes : "[" + takes + "]");
          options += ".TP\n\\fI" + roff(takes) + "\\fR\n" + roff(o->get_description()) + "\n";
          continue;
        }
        std::string names;
        for (const std::string& n : names_of(*o)) names += (names.empty() ? "" : ", ") + ("\\fB" + roff(n)) + "\\fR";
        options += ".TP\n" + names + (takes.empty() ? "" : " \\fI" + roff(takes) + "\\fR") + "\n" + roff(o->get_description()) + "\n";
      }
      s += ".SS \"holdfast " + roff(usage) + "\"\n" + roff(c->get_description()) + ".\n" + options + ".PP\n.nf\n" + roff(c->get_footer()) + ".fi\n";
    }
    return s +
           ".SH EXIT STATUS\n0: all is well, or equal.\n1: damaged, or different.\n2: it could not be done; one line on standard error says why, and what to do.\n"
           ".SH ENVIRONMENT\n.TP\n.B HOLDFAST_KEY_FILE\nwhat \\-\\-key\\-file is where it is not given.\n.TP\n.B NO_COLOR\nset to anything: no colours.\n.TP\n.B HOLDFAST_PROGRESS_AFTER\nafter how many seconds a terminal shows how far it is; 1 if not set.\n"
           ".SH SEE ALSO\n.BR h5ls (1),\n.BR h5dump (1)\n";
  }

  static std::string lower(std::string text) {
    text[0] = static_cast<char>(text[0] | 0x20);
    if (text.ends_with('.')) text.pop_back();
    return text;
  }

  static void add_key(CLI::App* to, holdfast::seal_key& key) {
    to->add_option_function<std::string>("--key-file", [&key](const std::string& file) { key = tool::key_in(file); }, "the file that the key of the checkpoints consists of: only those sealed with it are read, and what is written is sealed with it")->envname(tool::key_variable)->option_text("FILE");
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
    c->add_option("--ulps", diff_.ulps, "let floating-point numbers differ by N units in the last place")->option_text("N");
    c->add_option("--relative", diff_.relative, "or by |a - b| <= X max(|a|, |b|)")->check(CLI::NonNegativeNumber)->option_text("X");
    c->add_flag("--json", diff_.json, "as JSON");
    add_trust(c, diff_.trust);
  }

  void add_history() {
    CLI::App* const c = add("history", "The checkpoints of a run: steps, metrics, sizes, which is best, which is damaged and why",
                            "  holdfast history runs/exp1\n  holdfast history --verify runs/exp1", history_, &tool::history);
    c->add_option("folder", history_.folder, "of a run's checkpoints")->required()->option_text("DIR");
    c->add_flag("--higher-is-better", history_.higher_is_better, "the best metric is the highest, not the lowest");
    c->add_flag("--verify", history_.verify, "read every byte, not just what describes the checkpoints");
    c->add_flag("--json", history_.json, "as JSON");
  }

  void add_report() {
    CLI::App* const c = add("report", "A page about a run for the browser: metric, learning rate, norms of layers, histograms, NaN and Inf, damage",
                            "  holdfast report runs/exp1 -o report.html\n  holdfast report runs/exp1 -o report.html --force --histogram 'model/fc1.*' --curve scaler/scale", report_, &tool::report);
    c->add_option("folder", report_.folder, "of a run's checkpoints")->required()->option_text("DIR");
    c->add_option("-o,--output", report_.to, "the HTML file to write")->required()->option_text("OUT");
    c->add_option("--parameters", report_.parameters, "what is trained; /model if not given")->option_text("PATTERN");
    add_patterns(c, "--histogram", report_.histograms, "tensors to draw histograms of; if not given, some of the weight matrices");
    add_patterns(c, "--curve", report_.curves, "numbers to draw over the steps; if not given, the learning rates");
    c->add_option("--read", report_.most_read, "read the content of N checkpoints, evenly spread; 50 if not given")->check(CLI::PositiveNumber)->option_text("N");
    c->add_flag("--higher-is-better", report_.higher_is_better, "the best metric is the highest, not the lowest");
    c->add_flag("--force", report_.force, "replace a file of that name");
  }

  void add_prune() {
    CLI::App* const c = add("prune", "Deletes the checkpoints of a run that need not be kept; never the newest that is whole",
                            "  holdfast prune runs/exp1 --keep-last 3 --keep-best 1 --dry-run\n  holdfast prune runs/exp1 --keep-every 10000", prune_, &tool::prune);
    c->add_option("folder", prune_.folder, "of a run's checkpoints")->required()->option_text("DIR");
    c->add_option("--keep-last", prune_.keep_last, "keep the newest N; 1 if not given")->check(CLI::PositiveNumber)->option_text("N");
    c->add_option("--keep-best", prune_.keep_best, "keep the N with the lowest metric")->check(CLI::NonNegativeNumber)->option_text("N");
    c->add_option("--keep-every", prune_.keep_every, "keep those whose step is a multiple of N")->check(CLI::PositiveNumber)->option_text("N");
    c->add_flag("--higher-is-better", prune_.higher_is_better, "the best metric is the highest, not the lowest");
    c->add_flag("--damaged", prune_.damaged, "also delete damaged ones, if one is whole");
    c->add_flag("--dry-run", prune_.dry_run, "only say what would be deleted");
  }

  void add_seal() {
    CLI::App* const c = add("seal", "Seals a checkpoint again that another program wrote to, and says what that changed; only for files of an origin you trust",
                            "  holdfast seal --dry-run run.h5\n  holdfast seal run.h5 --metric 0.25", seal_, &tool::seal);
    c->add_option("file", seal_.file, "an HDF5 file")->required()->option_text("FILE");
    add_notes(c, seal_.how, ", if not that of FILE");
    c->add_flag("--drop", seal_.drop, "leave out attributes and soft links, which a checkpoint does not hold");
    c->add_flag("--dry-run", seal_.dry_run, "only say what was changed");
  }

  static void add_selection(CLI::App* to, tool::selection& chosen) {
    add_patterns(to, "--only", chosen.only, "only paths that match: * is any text inside a component, ** any text, ? one character");
    add_patterns(to, "--except", chosen.except, "not paths that match");
    to->add_option("--rename", chosen.rename, "name paths that match FROM as TO, which has the same wildcards: --rename 'model/**' '**'")->allow_extra_args(false)->option_text("FROM TO ...");
  }

  static void add_notes(CLI::App* to, tool::output& how, const char* otherwise) {
    to->add_option("--step", how.step, std::string("the training step to note") + otherwise)->check(CLI::NonNegativeNumber)->option_text("N");
    to->add_option("--metric", how.metric, std::string("the metric to note") + otherwise)->option_text("X");
  }

  static void add_output(CLI::App* to, tool::output& how, const char* otherwise) {
    add_notes(to, how, otherwise);
    to->add_flag("--force", how.force, "replace a file of that name");
  }

  void add_extract() {
    CLI::App* const c = add("extract", "Copies a part of a checkpoint to another, as the weights alone for inference",
                            "  holdfast extract run.h5 weights.h5 --only 'model/**'\n  holdfast extract runs/exp1 weights.h5 --only 'model/**' --rename 'model/**' '**'", extract_, &tool::extract);
    c->add_option("file", extract_.file, "a checkpoint, or a folder of them")->required()->option_text("FILE");
    c->add_option("to", extract_.to, "the file to write")->required()->option_text("OUT");
    add_selection(c, extract_.chosen);
    add_output(c, extract_.how, ", if not that of FILE");
    add_trust(c, extract_.trust);
  }

  void add_merge() {
    CLI::App* const c = add("merge", "Writes the parts of several checkpoints as one",
                            "  holdfast merge weights.h5 optimizer.h5 --output run.h5\n  holdfast merge run.h5 new_head.h5 -o mixed.h5 --prefer last", merge_, &tool::merge);
    c->add_option("file", merge_.files, "checkpoints, or folders of them")->required()->option_text("FILE ...");
    c->add_option("-o,--output", merge_.to, "the file to write")->required()->option_text("OUT");
    const std::map<std::string, tool::preference> names{{"first", tool::preference::first}, {"last", tool::preference::last}};
    c->add_option("--prefer", merge_.prefer, "whose path is taken that several files have; without it they must be equal")->transform(CLI::CheckedTransformer(names))->option_text("first|last");
    add_patterns(c, "--except", merge_.chosen.except, "not paths that match");
    add_output(c, merge_.how, ", if not that of the first (with --prefer last: last) FILE that has one");
    add_trust(c, merge_.trust);
  }

  void add_import() {
    CLI::App* const c = add("import", "Writes a checkpoint from a safetensors, .npz or .npy file",
                            "  holdfast import model.safetensors weights.h5 --rename '**' 'model/**'\n  holdfast import arrays.npz arrays.h5", import_, &tool::import_file);
    c->add_option("file", import_.file, "a .safetensors, .npz or .npy file")->required()->option_text("FILE");
    c->add_option("to", import_.to, "the file to write")->required()->option_text("OUT");
    add_selection(c, import_.chosen);
    add_output(c, import_.how, "");
  }

  void add_export() {
    CLI::App* const c = add("export", "Writes the tensors of a checkpoint as a safetensors or .npz file",
                            "  holdfast export run.h5 model.safetensors --only 'model/**' --rename 'model/**' '**' --metadata format pt\n  holdfast export run.h5 arrays.npz --except 'rng/**'", export_, &tool::export_file);
    c->add_option("file", export_.file, "a checkpoint, or a folder of them")->required()->option_text("FILE");
    c->add_option("to", export_.to, "the file to write, named .safetensors or .npz")->required()->option_text("OUT");
    add_selection(c, export_.chosen);
    c->add_option("--metadata", export_.metadata, "a text for the header of a safetensors file")->allow_extra_args(false)->option_text("KEY VALUE ...");
    c->add_flag("--force", export_.force, "replace a file of that name");
    add_trust(c, export_.trust);
  }

  CLI::App app_{"Looks at, compares, keeps and converts holdfast checkpoints.", "holdfast"};
  std::map<const CLI::App*, std::function<int()>> runs_;
  std::vector<std::pair<CLI::App*, holdfast::seal_key*>> keys_;
  tool::ls_options ls_;
  tool::show_options show_;
  tool::verify_options verify_;
  tool::diff_options diff_;
  tool::history_options history_;
  tool::report_options report_;
  tool::prune_options prune_;
  tool::extract_options extract_;
  tool::merge_options merge_;
  tool::import_options import_;
  tool::export_options export_;
  tool::seal_options seal_;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    const int status = command_line().run(argc, argv);
    tool::finish_output();
    return status;
  } catch (const std::exception& e) {
    tool::complain(e);
    return tool::trouble;
  }
}
