#include "command_line.hpp"

#include <exception>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include <CLI/CLI.hpp>

namespace {

void require_no_checkpoints(const std::string& folder) {
  if (std::filesystem::is_directory(folder) && !std::filesystem::is_empty(folder))
    throw std::runtime_error(
        folder + ": not empty; pass --resume to go on from its newest checkpoint, or another --checkpoint-dir");
}

}  // namespace

int example::run(int argc, char** argv, const std::string& description, options chosen,
                 const std::function<int(const options&)>& train, const std::vector<text_option>& more) {
  constexpr std::int64_t most = 1'000'000'000'000;
  CLI::App app(description);
  app.option_defaults()->always_capture_default();
  app.add_option("--steps", chosen.steps, "train until this step")->check(CLI::Range(std::int64_t{0}, most));
  app.add_option("--checkpoint-dir", chosen.checkpoint_dir, "where the checkpoints go");
  app.add_option("--checkpoint-every", chosen.checkpoint_every, "steps from one checkpoint to the next")
      ->check(CLI::Range(std::int64_t{1}, most));
  app.add_flag("--resume", chosen.resume, "go on from the newest checkpoint; without one, start");
  app.add_option("--data", chosen.data, "what to train on");
  app.add_option("--final", chosen.final_file, "save the state after the last step to this file, too");
  for (const text_option& option : more) app.add_option(option.name, *option.value, option.description);
  try {
    app.parse(argc, argv);
    if (!chosen.resume) require_no_checkpoints(chosen.checkpoint_dir);
    return train(chosen);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {  // holdfast::error is one
    std::cerr << argv[0] << ": " << e.what() << std::endl;
    return 1;
  }
}
