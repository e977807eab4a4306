#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <holdfast/io/durable_file.hpp>

#include "commands.hpp"
#include "history.hpp"
#include "report_page.hpp"
#include "survey.hpp"
#include "tool.hpp"

namespace tool {
namespace {

using nlohmann::ordered_json;

// What a page holds at most, so that a browser opens it at once: about 2 MB.
constexpr std::size_t most_points = 1000, most_layers = 100, most_rows = 300, most_alarms = 100, most_moments = 4;

/// Text as HTML has it, in elements and in attributes.
std::string html(std::string_view text) {
  // Invalid UTF-8 becomes U+FFFD on the way through JSON.
  const std::string valid = nlohmann::json::parse(nlohmann::json(shown(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)).get<std::string>();
  std::string s;
  for (const char c : valid) {
    switch (c) {
      case '&': s += "&amp;"; break;
      case '<': s += "&lt;"; break;
      case '>': s += "&gt;"; break;
      case '"': s += "&quot;"; break;
      case '\'': s += "&#39;"; break;
      default: s += c;
    }
  }
  return s;
}

std::string code(std::string_view text) { return "<code>" + html(text) + "</code>"; }

std::string steps_text(std::int64_t step) {
  const std::string text = counted(static_cast<std::uint64_t>(step), "");
  return text.substr(0, text.find(' '));
}

std::string short_number(double x) { return fmt::format("{:.4g}", x); }

std::string seconds_text(double seconds) {
  if (seconds < 0.0995) return fmt::format("{:.3g} ms", 1000 * seconds);
  if (seconds < 60) return fmt::format("{:.3g} s", seconds);
  const auto whole = static_cast<std::int64_t>(seconds);
  if (seconds < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (seconds < 86400) return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
  return fmt::format("{} d {} h", whole / 86400, whole / 3600 % 24);
}

/// A column of a table: its title and the class of its cells.
struct column {
  std::string title, kind{};
};

/// A table that scrolls in itself, under what it holds. Cells are HTML; the first of each row is its header.
std::string table(std::string_view id, std::string_view what, const std::vector<column>& columns, const std::vector<std::vector<std::string>>& rows) {
  std::string s = fmt::format("<p class=\"faint\" id=\"{0}\">{1}</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{0}\"><table aria-labelledby=\"{0}\"><thead><tr>", id, html(what));
  for (const column& c : columns) s += fmt::format("<th scope=\"col\" class=\"{}\">{}</th>", c.kind, html(c.title));
  s += "</tr></thead><tbody>\n";
  for (const auto& row : rows) {
    s += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i)
      s += i == 0 ? fmt::format("<th scope=\"row\" class=\"{}\">{}</th>", columns[i].kind, row[i]) : fmt::format("<td class=\"{}\">{}</td>", columns[i].kind, row[i]);
    s += "</tr>\n";
  }
  return s + "</tbody></table></div>\n";
}

/// Where page.js draws. `says` is for who does not see it.
std::string figure(std::string_view id, std::string_view title, std::string_view what, std::string_view says, std::string_view more = "") {
  return fmt::format("<figure><figcaption><h3>{}</h3><p>{}{}</p></figcaption><div class=\"canvas\"><canvas id=\"{}\" role=\"img\" aria-label=\"{}\"></canvas></div></figure>\n", html(title), html(what), more, id, html(says));
}

ordered_json number_or_null(const std::optional<double>& x) { return x && std::isfinite(*x) ? ordered_json(*x) : ordered_json(); }

/// Up to `most` of all: evenly spread, the first and the last among them, and those that `always` names.
template <class T, class Always>
std::vector<const T*> thinned(const std::vector<T>& all, std::size_t most, Always&& always) {
  const std::set<std::size_t> chosen = spread(all.size(), most);
  std::vector<const T*> some;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (chosen.contains(i) || always(all[i])) some.push_back(&all[i]);
  return some;
}

bool is_best(const surveyed_checkpoint& c) { return c.note.find("best") != std::string::npos; }

std::string left_out(std::size_t shown_number, std::size_t all, std::string_view what) {
  return shown_number == all ? "" : fmt::format("{} of {} are shown, evenly spread. ", shown_number, counted(all, what));
}

/// What stands between the head and the scripts of the page.
class content {
 public:
  content(const survey& run, const report_options& options) : run_(run), options_(options), shown_(thinned(run.checkpoints, most_points, is_best)) {
    for (const surveyed_checkpoint& c : run.checkpoints) {
      bytes_ += c.info.bytes;
      if (c.read) ++read_;
      if (!c.info.damage.empty()) damaged_.push_back(&c);
      else newest_ = &c;
      if (is_best(c)) best_ = &c;
    }
  }

  std::string text() {
    std::string s = head() + "<main>\n" + alarms() + progress_section() + checkpoints() + layers() + histograms() + tensors() + "</main>\n" + foot();
    std::string json = data_.dump(-1, ' ', true, ordered_json::error_handler_t::replace);
    for (std::size_t at = 0; (at = json.find('<', at)) != std::string::npos;) json.replace(at, 1, "\\u003c");
    return s + "<script type=\"application/json\" id=\"data\">" + json + "</script>\n";
  }

 private:
  std::string head() const {
    const auto& all = run_.checkpoints;
    const auto tile = [](std::string_view name, const std::string& value, const std::string& more, std::string_view kind = "") {
      return fmt::format("<div><dt>{}</dt><dd class=\"{}\">{}<small>{}</small></dd></div>\n", html(name), kind, value, more);
    };
    std::string s = fmt::format("<header><h1>{}</h1><p class=\"faint\">{}, step {} to {}. Written {} by holdfast {}.</p>\n<dl class=\"tiles\">\n", html(options_.folder), counted(all.size(), "checkpoint"), steps_text(all.front().info.step),
                                steps_text(all.back().info.step), time_text(std::chrono::system_clock::now(), "%Y-%m-%d %H:%M:%S"), HOLDFAST_VERSION);
    if (newest_ != nullptr) s += tile("Newest", "step " + steps_text(newest_->info.step), time_text(newest_->info.time, "%Y-%m-%d %H:%M:%S"));
    if (newest_ != nullptr && newest_->info.metric) s += tile("Newest metric", short_number(*newest_->info.metric), "step " + steps_text(newest_->info.step));
    if (best_ != nullptr) s += tile("Best metric", short_number(*best_->info.metric), fmt::format("step {}, the {}", steps_text(best_->info.step), options_.higher_is_better ? "highest" : "lowest"));
    s += tile("On disk", readable(bytes_), counted(all.size(), "file"));
    s += damaged_.empty() ? tile("Files", "✓ no damage", fmt::format("{} of {} read whole", read_, all.size()), "fine") : tile("Files", fmt::format("✕ {} damaged", damaged_.size()), fmt::format("{} of {} read whole", read_, all.size()), "alarm");
    if (read_ != 0) s += run_.alarms.empty() ? tile("NaN and Inf", "✓ none", fmt::format("in {} read", counted(read_, "checkpoint")), "fine") : tile("NaN and Inf", "✕ in " + counted(run_.alarms.size(), "tensor"), "listed below", "alarm");
    return s + "</dl>\n<noscript><p>Charts need JavaScript. The tables hold the newest numbers.</p></noscript></header>\n";
  }

  std::string alarms() const {
    std::string s;
    if (!run_.alarms.empty()) {
      std::vector<std::vector<std::string>> rows;
      for (const auto& [path, a] : run_.alarms) {
        if (rows.size() == most_alarms) break;
        rows.push_back({code(path), steps_text(a.first), steps_text(a.last), fmt::format("{} of {}", a.checkpoints, read_), std::to_string(a.nan), std::to_string(a.infinite), std::to_string(a.elements)});
      }
      s += fmt::format("<section class=\"card alarm\" aria-labelledby=\"nan\"><h2 id=\"nan\">✕ NaN or Inf in {}</h2><p>{}Some programs keep an Inf on purpose, as a mask or as the best loss so far.</p>\n", counted(run_.alarms.size(), "tensor"), rows.size() < run_.alarms.size() ? fmt::format("The first {} are listed. ", rows.size()) : "");
      s += table("nan-table", "Tensors with NaN or Inf. Counts are those of the last checkpoint with some.", {{"tensor", "path"}, {"first seen at step", "number"}, {"last", "number"}, {"checkpoints", "number"}, {"NaN", "number"}, {"Inf", "number"}, {"of elements", "number"}}, rows) + "</section>\n";
    }
    if (!damaged_.empty()) {
      std::vector<std::vector<std::string>> rows;
      for (auto c = damaged_.rbegin(); c != damaged_.rend() && rows.size() < most_alarms; ++c) rows.push_back({steps_text((*c)->info.step), html(reason_alone((*c)->info)), code((*c)->info.path)});
      s += fmt::format("<section class=\"card alarm\" aria-labelledby=\"damage\"><h2 id=\"damage\">✕ {} damaged</h2><p>{}A restore of the run passes over them.</p>\n", counted(damaged_.size(), "checkpoint"), rows.size() < damaged_.size() ? fmt::format("The newest {} are listed. ", rows.size()) : "");
      s += table("damage-table", "The newest is first.", {{"step", "number"}, {"why", "why"}, {"file", "path"}}, rows) + "</section>\n";
    }
    return s;
  }

  std::string progress_section() {
    auto& j = data_["checkpoints"] = {{"steps", ordered_json::array()}, {"metric", ordered_json::array()}, {"bytes", ordered_json::array()}, {"seconds", ordered_json::array()}, {"damaged", ordered_json::array()}, {"best", nullptr}};
    bool metrics = false;
    for (const surveyed_checkpoint* c : shown_) {
      if (c == best_) j["best"] = j["steps"].size();
      j["steps"].push_back(c->info.step);
      j["metric"].push_back(number_or_null(c->info.metric));
      j["bytes"].push_back(c->info.bytes);
      j["seconds"].push_back(number_or_null(c->seconds));
      j["damaged"].push_back(!c->info.damage.empty());
      metrics = metrics || c->info.metric;
    }
    const std::string drawn = left_out(shown_.size(), run_.checkpoints.size(), "checkpoint");
    std::string s = "<section aria-labelledby=\"training\"><h2 id=\"training\">Training</h2>\n<div class=\"charts\">\n";
    if (metrics && best_ != nullptr)
      s += figure("metric", "Metric", drawn + "As each checkpoint was saved with.",
                  fmt::format("Line of the metric over the steps. Best: {} at step {}. The table of checkpoints has the numbers.", short_number(*best_->info.metric), steps_text(best_->info.step)),
                  " <label class=\"switch\"><input type=\"checkbox\" id=\"metric-log\"> logarithmic</label>");
    s += curves();
    s += "</div>\n";
    if (!metrics) s += "<p>No checkpoint was saved with a metric: <code>save(step, state, {.metric = loss})</code> notes one.</p>\n";
    if (data_["curves"]["lines"].empty()) s += "<p>No learning rate was found: a number named <code>lr</code> or <code>learning_rate</code>, or <code>last_lr</code> of a scheduler. <code>--curve PATTERN</code> names others.</p>\n";
    return s + "</section>\n";
  }

  std::string curves() {
    std::set<std::string> names;
    std::vector<const surveyed_checkpoint*> with;
    for (const surveyed_checkpoint& c : run_.checkpoints) {
      if (!c.read) continue;
      with.push_back(&c);
      for (const auto& [name, value] : c.curves) names.insert(name);
    }
    auto& j = data_["curves"] = {{"steps", ordered_json::array()}, {"lines", ordered_json::array()}};
    for (const surveyed_checkpoint* c : with) j["steps"].push_back(c->info.step);
    std::map<std::string, std::size_t> line_of;  // what is everywhere equal is one line
    std::vector<std::vector<std::string>> names_of;
    std::vector<std::optional<double>> last;
    std::size_t left = 0;
    for (const std::string& name : names) {
      auto values = ordered_json::array();
      std::optional<double> newest;
      for (const surveyed_checkpoint* c : with) {
        const auto at = c->curves.find(name);
        values.push_back(number_or_null(at == c->curves.end() ? std::nullopt : std::optional(at->second)));
        if (at != c->curves.end()) newest = at->second;
      }
      const auto [found, fresh] = line_of.try_emplace(values.dump(), j["lines"].size());
      if (!fresh) {
        if (found->second < most_curves) names_of[found->second].push_back(name);
      } else if (j["lines"].size() < most_curves) {
        j["lines"].push_back({{"name", name}, {"values", std::move(values)}});
        names_of.push_back({name});
        last.push_back(newest);
      } else {
        ++left;
      }
    }
    if (j["lines"].empty()) return "";
    std::string says = "Lines over the steps. In the newest checkpoint:";
    for (std::size_t i = 0; i < names_of.size(); ++i) {
      if (names_of[i].size() > 1) j["lines"][i]["name"] = fmt::format("{} and {} more", names_of[i].front(), names_of[i].size() - 1);
      says += fmt::format(" {}: {}.", fmt::join(names_of[i], ", "), last[i] ? short_number(*last[i]) : "nothing");
    }
    const bool usual = options_.curves.empty();
    return figure("curves", usual ? "Learning rate" : "Chosen numbers", left != 0 ? fmt::format("{} more are left out; --curve chooses.", left) : usual ? "As the optimizer or the scheduler holds it."
                                                                                                                                                        : "As they are in the checkpoints.",
                  says);
  }

  std::string checkpoints() const {
    std::string s = "<section aria-labelledby=\"checkpoints\"><h2 id=\"checkpoints\">Checkpoints</h2>\n<div class=\"small charts\">\n";
    const std::string drawn = left_out(shown_.size(), run_.checkpoints.size(), "checkpoint");
    s += figure("sizes", "Size", drawn + "Of each file.", fmt::format("Bars of the sizes of files: {} in all.", readable(bytes_)));
    const bool known = std::any_of(shown_.begin(), shown_.end(), [](const surveyed_checkpoint* c) { return c->seconds.has_value(); });
    if (known) s += figure("seconds", "Time a save took", drawn + "From the creation of the file to its name, by the file system.", "Bars of the seconds that each save took.");
    s += "</div>\n";
    const auto rows_of = thinned(run_.checkpoints, most_rows, is_best);
    std::vector<std::vector<std::string>> rows;
    const surveyed_checkpoint* before = nullptr;
    for (const surveyed_checkpoint* c : rows_of) {
      const bool sound = c->info.damage.empty();
      const double since = before == nullptr ? 0 : std::chrono::duration<double>(c->info.time - before->info.time).count();
      std::string state = !sound ? "<span class=\"alarm\">✕ damaged</span>: " + html(reason_alone(c->info)) : c->unverifiable ? "sealed with a key: not read"
                                                                                                          : c->read           ? "<span class=\"fine\">✓ whole</span>, every byte verified"
                                                                                                                              : "index verified, content not read";
      if (!c->note.empty()) state = "<strong>" + html(c->note) + "</strong>; " + state;
      rows.push_back({steps_text(c->info.step), time_text(c->info.time, "%Y-%m-%d %H:%M:%S"), since > 0 ? seconds_text(since) : "", readable(c->info.bytes), c->seconds ? seconds_text(*c->seconds) : "", c->info.metric ? fmt::format("{:.6g}", *c->info.metric) : "", state});
      before = c;
    }
    std::reverse(rows.begin(), rows.end());
    return s + table("checkpoint-table", left_out(rows.size(), run_.checkpoints.size(), "checkpoint") + (read_ < run_.checkpoints.size() ? fmt::format("The content of {} was read, the index of all. ", read_) : "") + "The newest is first.", {{"step", "number"}, {"saved", "number"}, {"after", "number"}, {"size", "number"}, {"save took", "number"}, {"metric", "number"}, {"valid", "why"}}, rows) + "</section>\n";
  }

  std::string layers() {
    std::vector<const std::string*> names = thinned(run_.layers, most_layers, [](const std::string&) { return false; });
    std::set<std::string> kinds;
    std::vector<const surveyed_checkpoint*> with;
    for (const surveyed_checkpoint& c : run_.checkpoints) {
      if (!c.read || c.layers.empty()) continue;
      with.push_back(&c);
      for (const auto& [name, norms] : c.layers)
        for (const auto& [kind, norm] : norms.moments) kinds.insert(kind);
    }
    auto& j = data_["layers"] = {{"steps", ordered_json::array()}, {"names", ordered_json::array()}, {"parameters", ordered_json::array()}, {"updates", ordered_json::array()}, {"moments", ordered_json::array()}};
    for (const surveyed_checkpoint* c : with) j["steps"].push_back(c->info.step);
    const auto rows_of = [&](auto&& norm) {
      auto all = ordered_json::array();
      for (const std::string* name : names) {
        auto row = ordered_json::array();
        for (const surveyed_checkpoint* c : with) {
          const auto at = c->layers.find(*name);
          row.push_back(number_or_null(at == c->layers.end() ? std::nullopt : norm(at->second)));
        }
        all.push_back(std::move(row));
      }
      return all;
    };
    for (const std::string* name : names) j["names"].push_back(*name);
    j["parameters"] = rows_of([](const layer_norms& l) { return l.parameters; });
    j["updates"] = rows_of([](const layer_norms& l) { return l.update; });
    std::string s = "<section aria-labelledby=\"layer\"><h2 id=\"layer\">Layers</h2>\n";
    const bool trained = std::any_of(with.begin(), with.end(), [](const surveyed_checkpoint* c) { return std::any_of(c->layers.begin(), c->layers.end(), [](const auto& l) { return l.second.parameters.has_value(); }); });
    if (!trained) s += fmt::format("<p>Nothing that was read has tensors of floating-point numbers in {}: <code>--parameters PATTERN</code> names what is trained.</p>\n", code("/" + options_.parameters));
    if (names.empty()) return s + "</section>\n";
    s += fmt::format("<p>{}L2 norms; tensors whose names agree up to the last dot or slash are one layer.</p>\n", left_out(names.size(), run_.layers.size(), "layer"));
    s += "<details class=\"picker card\"><summary>Choose layers</summary><input type=\"search\" id=\"layer-search\" placeholder=\"name\" aria-label=\"Find layers by name\"><ul id=\"layers\"></ul></details>\n<div class=\"charts\">\n";
    const std::string see = " The table of tensors has the newest numbers.";
    if (trained) s += figure("parameters", "Parameters", "Norm of each layer.", "Lines of the norms of each layer's parameters over the steps." + see);
    if (trained && with.size() > 1) {
      s += figure("updates", "Updates", "Norm of what changed since the checkpoint before.", "Lines of the norms of what changed in each layer since the checkpoint before." + see);
      s += figure("ratios", "Relative updates", "The same, divided by the norm of the parameters.", "Lines of what changed in each layer relative to its parameters." + see);
    }
    std::size_t n = 0;
    for (const std::string& kind : kinds) {
      if (n == most_moments) break;
      j["moments"].push_back({{"kind", kind}, {"table", rows_of([&](const layer_norms& l) {
                                                 const auto at = l.moments.find(kind);
                                                 return at == l.moments.end() ? std::nullopt : at->second;
                                               })}});
      s += figure(fmt::format("moment-{}", n++), kind, "Kept beside each parameter; its norm.", "Lines of the norms of " + kind + " of each layer over the steps.");
    }
    s += "</div>\n";
    if (n < kinds.size()) s += fmt::format("<p>{} more kinds of moments are left out.</p>\n", kinds.size() - n);
    return s + "</section>\n";
  }

  std::string histograms() {
    auto& j = data_["histograms"] = ordered_json::array();
    std::string s;
    for (const histogram& h : run_.histograms) {
      if (h.lines.empty()) continue;
      auto lines = ordered_json::array();
      for (const histogram::line& l : h.lines) lines.push_back({{"step", l.step}, {"shares", l.shares}});
      s += figure(fmt::format("histogram-{}", j.size()), h.path, fmt::format("{}: {} to {}", h.type, short_number(h.low), short_number(h.high)), fmt::format("Histogram of {}, from {} to {}.", h.path, short_number(h.low), short_number(h.high)));
      j.push_back({{"low", h.low}, {"high", h.high}, {"lines", std::move(lines)}});
    }
    if (s.empty()) return "";
    return "<section aria-labelledby=\"histograms\"><h2 id=\"histograms\">Histograms</h2>\n<p>Of the finite elements, in the first and the newest checkpoint that was read." +
           (run_.histograms_left_out != 0 ? fmt::format(" {} of {} tensors; <code>--histogram PATTERN</code> chooses.", run_.histograms.size(), run_.histograms.size() + run_.histograms_left_out) : std::string()) + "</p>\n<div class=\"small charts\">\n" + s + "</div></section>\n";
  }

  std::string tensors() const {
    if (run_.tensors.empty()) return "";
    const auto some = thinned(run_.tensors, most_rows, [](const surveyed_tensor&) { return false; });
    std::vector<std::vector<std::string>> rows;
    for (const surveyed_tensor* t : some) {
      const statistics& n = t->numbers;
      std::vector<std::string> row{code(t->path), html(t->type)};
      if (n.finite == 0) row.insert(row.end(), {"", "", "", ""});
      else row.insert(row.end(), {short_number(static_cast<double>(n.min)), short_number(static_cast<double>(n.max)), short_number(static_cast<double>(n.mean())), short_number(static_cast<double>(n.norm()))});
      row.push_back(t->update ? short_number(*t->update) : "");
      row.push_back(t->update && n.norm() > 0 ? short_number(*t->update / static_cast<double>(n.norm())) : "");
      const auto count = [](std::uint64_t bad) { return bad == 0 ? "0" : fmt::format("<strong class=\"alarm\">✕ {}</strong>", bad); };
      row.push_back(count(n.nan));
      row.push_back(count(n.infinite));
      rows.push_back(std::move(row));
    }
    return "<section aria-labelledby=\"tensors\"><h2 id=\"tensors\">Tensors</h2>\n" +
           table("tensor-table", left_out(some.size(), run_.tensors.size(), "tensor") + "Floating-point tensors of the newest checkpoint that was read. Changed: norm of the difference from the one read before.", {{"tensor", "path"}, {"type", "number"}, {"min", "number"}, {"max", "number"}, {"mean", "number"}, {"norm", "number"}, {"changed", "number"}, {"changed / norm", "number"}, {"NaN", "number"}, {"Inf", "number"}}, rows) +
           "</section>\n";
  }

  static std::string foot() { return "<footer><p>This page needs no network. Charts: <a href=\"https://www.chartjs.org\">Chart.js</a>, MIT licence, whose text is in the source of this page.</p></footer>\n"; }

  const survey& run_;
  const report_options& options_;
  std::vector<const surveyed_checkpoint*> shown_;
  std::vector<const surveyed_checkpoint*> damaged_;
  const surveyed_checkpoint *newest_ = nullptr, *best_ = nullptr;
  std::uint64_t bytes_ = 0;
  std::size_t read_ = 0;
  ordered_json data_;
};

}  // namespace

int report(const report_options& options) {
  const survey run = survey_of(options);
  std::string text;
  for (const std::string_view piece : page::before_title) text += piece;
  text += html(options.folder) + " · holdfast";
  for (const std::string_view piece : page::before_content) text += piece;
  text += content(run, options).text();
  for (const std::string_view piece : page::after_content) text += piece;
  holdfast::io::durable_file file(holdfast::io::posix(), options.to);
  file->write_at(0, std::as_bytes(std::span(text)));
  file.commit(options.force ? holdfast::io::replace::yes : holdfast::io::replace::no, false);
  const auto damaged = static_cast<std::size_t>(std::count_if(run.checkpoints.begin(), run.checkpoints.end(), [](const surveyed_checkpoint& c) { return !c.info.damage.empty(); }));
  print(fmt::format("{}: {}, {} damaged, {} with NaN or Inf\n", shown(options.to), counted(run.checkpoints.size(), "checkpoint"), damaged, counted(run.alarms.size(), "tensor")));
  return damaged == 0 ? fine : different;
}

}  // namespace tool
