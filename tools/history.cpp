#include <algorithm>
#include <chrono>
#include <ctime>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <holdfast/checkpoint/directory.hpp>

#include "commands.hpp"
#include "history.hpp"
#include "progress.hpp"
#include "tool.hpp"

namespace tool {

using holdfast::checkpoint_info;

std::string time_text(std::chrono::system_clock::time_point t, const char* format) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(t);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, format, &parts)};
}

std::vector<checkpoint_info> checkpoints_of_run(const std::string& folder) {
  std::vector<checkpoint_info> all = checkpoints_in(folder);
  if (all.empty()) throw holdfast::error(folder + ": expected a folder with checkpoints (step-….h5), found none; name the folder of a run");
  return all;
}

bool unverifiable(const checkpoint_info& c, const holdfast::seal_key& key) { return !key && seal_of(c.path) == seal_kind::keyed; }

void find_damage(std::vector<checkpoint_info>& all, bool content, const holdfast::seal_key& key) {
  progress bar("verifying");
  for (const checkpoint_info& c : all) bar.expect(content && c.damage.empty() ? c.bytes : 0);
  for (checkpoint_info& c : all) {
    if (!c.damage.empty()) continue;
    try {
      if (unverifiable(c, key)) continue;
      const auto in = open(c.path, key, holdfast::trust::sealed_only, &bar.storage());
      if (content) verify_all(*in);
    } catch (const holdfast::error& e) {
      c.damage = one_line(e);
    }
  }
}

std::string reason_alone(const checkpoint_info& c) {
  const std::string where = c.path + ": ";
  return shown(c.damage.starts_with(where) ? c.damage.substr(where.size()) : c.damage);
}

int history(const history_options& options) {
  std::vector<checkpoint_info> all = checkpoints_of_run(options.folder);
  find_damage(all, options.verify, options.key);
  std::vector<checkpoint_info> whole = all;
  std::erase_if(whole, [](const checkpoint_info& c) { return !c.damage.empty(); });
  std::vector<std::string> notes = holdfast::detail::reasons_to_keep(whole, {.keep_best = 1, .higher_is_better = options.higher_is_better});
  std::uint64_t bytes = 0;
  for (const checkpoint_info& c : all) bytes += c.bytes;
  const bool damaged = whole.size() != all.size();

  auto checkpoints = nlohmann::ordered_json::array();
  std::vector<std::vector<std::string>> rows{{"step", "saved", "size", "metric", ""}};
  std::size_t i = 0;
  for (const checkpoint_info& c : all) {
    const bool sound = c.damage.empty();
    std::string note = sound ? notes[i++] : std::string();
    if (sound && unverifiable(c, options.key)) note += note.empty() ? "sealed with a key" : ", sealed with a key";
    rows.push_back({std::to_string(c.step), time_text(c.time, "%Y-%m-%d %H:%M:%S"), readable(c.bytes), c.metric ? number(*c.metric) : "", sound ? note : "damaged: " + reason_alone(c)});
    nlohmann::ordered_json j{{"step", c.step}, {"file", c.path}, {"saved", time_text(c.time, "%Y-%m-%dT%H:%M:%S%z")}, {"bytes", c.bytes}};
    if (c.metric) j["metric"] = *c.metric;
    j["best"] = note.find("best") != std::string::npos;
    if (!sound) j["damage"] = reason_alone(c);
    checkpoints.push_back(std::move(j));
  }
  if (options.json) {
    print_json({{"folder", options.folder}, {"bytes", bytes}, {"checkpoints", std::move(checkpoints)}});
  } else {
    const palette& c = out_colours();
    print(fmt::format("{}{}{}: {}, {}{}\n", c.bold, shown(options.folder), c.plain, counted(all.size(), "checkpoint"), readable(bytes), options.verify ? ", every byte verified" : "") + aligned(rows, "><>><"));
  }
  return damaged ? different : fine;
}

}  // namespace tool
