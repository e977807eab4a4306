#include "survey.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <iterator>
#include <limits>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

#include <holdfast/core/parallel.hpp>
#include <holdfast/core/pattern.hpp>

#include "history.hpp"
#include "progress.hpp"
#include "tool.hpp"

namespace tool {
namespace {

using holdfast::entry;
using holdfast::entry_kind;
using holdfast::detail::family;
using holdfast::detail::pattern;
using holdfast::hdf5::reader;

constexpr std::size_t most_histograms = 24, usual_histograms = 6, bins = 60;

bool natural_less(const std::string& a, const std::string& b) { return ::strverscmp(a.c_str(), b.c_str()) < 0; }

bool holds_data(const entry& e) { return e.kind == entry_kind::tensor && e.alias_of.empty() && e.bytes != 0; }

bool of_floats(const entry& e) {
  const family f = holdfast::detail::family_of(e.dtype);
  return holds_data(e) && (f == family::real || f == family::complex);
}

/// Which paths a list of patterns matches.
class patterns {
 public:
  explicit patterns(const std::vector<std::string>& texts) : all_(texts.begin(), texts.end()) {}

  bool matches(std::string_view path) const {
    return std::any_of(all_.begin(), all_.end(), [&](const pattern& p) { return p.matches(path); });
  }
  void require_match(const reader& in) const {
    for (const pattern& p : all_)
      if (std::none_of(in.entries().begin(), in.entries().end(), [&](const entry& e) { return holds_data(e) && p.matches(e.path); })) throw holdfast::error(in.file() + ": nothing matches \"" + p.text() + "\"; holdfast ls lists all paths");
  }

 private:
  std::vector<pattern> all_;
};

std::vector<std::string> components(std::string_view path) {
  std::vector<std::string> all{""};
  for (const char c : path) {
    if (c == '/') all.emplace_back();
    else all.back() += c;
  }
  return all;
}

std::string joined(std::vector<std::string>::const_iterator from, std::vector<std::string>::const_iterator to) {
  std::string path;
  for (; from != to; ++from) path += (path.empty() ? "" : "/") + *from;
  return path;
}

std::string layer_of(const std::string& name) {
  const std::size_t at = name.find_last_of("./");
  return at == std::string::npos || at == 0 ? name : name.substr(0, at);
}

/// Knows what each tensor of a checkpoint is: a parameter, a moment of an optimizer, or something else.
class anatomy {
 public:
  anatomy(const reader& in, const pattern& parameters) {
    for (const entry& e : in.entries()) {
      if (!of_floats(e)) continue;
      if (const auto captured = parameters.captures(e.path)) {
        const std::string_view rest = captured->back();  // what follows the group that was matched
        names_[e.path] = rest.empty() ? e.path : std::string(rest.substr(1));
      }
    }
    for (const auto& [path, name] : names_) by_name_[name] = in.find(path)->shape.elements();
  }

  /// The name of a parameter in its model; empty if it is none.
  std::string parameter(const entry& e) const {
    const auto at = names_.find(e.path);
    return at == names_.end() ? "" : at->second;
  }

  /// The parameter's name and the kind of what is kept beside it, which its path says beside that name: /optimizer/exp_avg/fc1.weight
  /// and /optimizer/state/fc1.weight/exp_avg are both fc1.weight's "exp_avg". Empty if it is none.
  std::pair<std::string, std::string> moment(const entry& e) const {
    const std::vector<std::string> path = components(e.path);
    for (auto from = path.begin() + 1; from < path.end(); ++from) {
      for (auto to = path.end(); to > from; --to) {
        const auto found = by_name_.find(joined(from, to));
        if (found == by_name_.end() || found->second != e.shape.elements()) continue;
        return {found->first, kind(path, from, to)};
      }
    }
    if (path.size() < 3 || path.front() != "optimizer" || e.shape.elements() == 1) return {};
    // Of a parameter that has a number for a name: /optimizer/state/0/exp_avg.
    const auto number = std::find_if(path.end() - 2, path.end(), [](const std::string& c) { return !c.empty() && std::all_of(c.begin(), c.end(), [](char d) { return d >= '0' && d <= '9'; }); });
    if (number == path.end()) return {};
    return {*number, kind(path, number, number + 1)};
  }

 private:
  using place = std::vector<std::string>::const_iterator;
  static std::string kind(const std::vector<std::string>& path, place from, place to) {
    std::vector<std::string> rest(path.begin() + (path.front() == "optimizer" ? 1 : 0), from);
    rest.insert(rest.end(), to, path.end());
    std::erase(rest, "state");
    return rest.empty() ? "moment" : joined(rest.begin(), rest.end());
  }

  std::map<std::string, std::string, std::less<>> names_;  // of parameters, by path
  std::map<std::string, std::int64_t> by_name_;            // elements
};

/// Statistics of a tensor and the norm of its difference from an earlier one, if that has the same type and shape.
std::pair<statistics, std::optional<double>> compare(const reader& in, const entry& e, const reader* before) {
  const entry* const earlier = before == nullptr ? nullptr : before->find(e.path);
  const bool comparable = earlier != nullptr && holdfast::detail::family_of(e.dtype) == family::real && earlier->dtype == e.dtype && earlier->shape == e.shape;
  statistics s;
  double squares = 0;
  std::uint64_t at = 0;
  std::vector<std::byte> old;
  read_verified(in, e, [&](const std::byte* piece, std::uint64_t n) {
    s.take(piece, e.dtype, n);
    if (comparable) {
      old.resize(n * size_of(e.dtype));
      read_elements(*before, *earlier, at, n, old.data());
      const auto a = widened<double>(old.data(), e.dtype, holdfast::dtype::float64, n), b = widened<double>(piece, e.dtype, holdfast::dtype::float64, n);
      for (std::size_t i = 0; i < n; ++i)
        if (const double change = b[i] - a[i]; std::isfinite(change)) squares += change * change;
    }
    at += n;
  });
  return {s, comparable ? std::optional(std::sqrt(squares)) : std::nullopt};
}

void add_square(std::optional<double>& norm, double more) { norm = std::hypot(norm.value_or(0), more); }

/// The numbers of a small tensor, each under a name of its own.
void add_curves(std::map<std::string, double>& curves, const reader& in, const entry& e) {
  if (e.shape.elements() > static_cast<std::int64_t>(most_curves) || holdfast::detail::family_of(e.dtype) == family::complex || e.dtype == holdfast::dtype::string) return;
  std::vector<double> values;
  read_verified(in, e, [&](const std::byte* at, std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) {
      statistics one;
      one.take(at + i * size_of(e.dtype), e.dtype, 1);
      values.push_back(one.finite == 1 ? static_cast<double>(one.sum) : std::numeric_limits<double>::quiet_NaN());
    }
  });
  for (std::size_t i = 0; i < values.size(); ++i) curves["/" + e.path + (values.size() == 1 ? "" : "[" + std::to_string(i) + "]")] = values[i];
}

/// The learning rates that optimizers or, where none says, schedulers hold.
std::vector<std::string> learning_rates(const reader& in) {
  std::vector<std::string> of_optimizers, others;
  for (const entry& e : in.entries()) {
    if (!holds_data(e) || e.shape.elements() > static_cast<std::int64_t>(most_curves)) continue;
    const std::string name = components(e.path).back();
    if (name == "lr" || name == "learning_rate") of_optimizers.push_back(e.path);
    else if (name == "last_lr" || name == "_last_lr") others.push_back(e.path);
  }
  return of_optimizers.empty() ? others : of_optimizers;
}

/// How long a save took: from the creation of its file until it got its name, if nothing has touched that since. It began and ended between
/// the last writes of the checkpoints before and after. Not so the file of a checkpoint that was let go and written again (`retention::recycle`),
/// and one that got a second name later.
std::optional<double> save_seconds(const std::string& path, std::chrono::system_clock::time_point not_before, std::chrono::system_clock::time_point not_after) {
#ifdef STATX_BTIME
  struct ::statx found{};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_BTIME | STATX_CTIME | STATX_MTIME, &found) != 0 || (found.stx_mask & STATX_BTIME) == 0) return std::nullopt;
  const auto seconds = [](const auto& t) { return static_cast<double>(t.tv_sec) + 1e-9 * t.tv_nsec; };
  const double created = seconds(found.stx_btime), written = seconds(found.stx_mtime), named = seconds(found.stx_ctime);
  const auto of = [](std::chrono::system_clock::time_point t) { return std::chrono::duration<double>(t.time_since_epoch()).count(); };
  if (of(not_before) <= created && created <= written && written <= named && named <= of(not_after)) return named - created;
#else
  (void)path, (void)not_before, (void)not_after;
#endif
  return std::nullopt;
}

class surveyor {
 public:
  explicit surveyor(const report_options& options) : options_(options), parameters_(options.parameters), curves_(options.curves) {}

  survey run() {
    list();
    read_content();
    find_best();
    draw_histograms();
    std::set<std::string> layers;
    for (const surveyed_checkpoint& c : found_.checkpoints)
      for (const auto& [name, norms] : c.layers) layers.insert(name);
    found_.layers.assign(layers.begin(), layers.end());
    std::sort(found_.layers.begin(), found_.layers.end(), natural_less);
    std::sort(found_.tensors.begin(), found_.tensors.end(), [](const surveyed_tensor& a, const surveyed_tensor& b) { return a.trained != b.trained ? a.trained : natural_less(a.path, b.path); });
    return std::move(found_);
  }

 private:
  void list() {
    std::vector<holdfast::checkpoint_info> all = checkpoints_of_run(options_.folder);
    find_damage(all, false, options_.key);
    for (std::size_t i = 0; i < all.size(); ++i) {
      using time = std::chrono::system_clock::time_point;
      surveyed_checkpoint s{.info = all[i]};
      if (s.info.damage.empty()) {
        s.unverifiable = unverifiable(s.info, options_.key);
        s.seconds = save_seconds(s.info.path, i == 0 ? time::min() : all[i - 1].time, i + 1 == all.size() ? time::max() : all[i + 1].time);
      }
      found_.checkpoints.push_back(std::move(s));
    }
    find_best();
  }

  /// Notes what is newest and what is best of those that are whole.
  void find_best() {
    std::vector<holdfast::checkpoint_info> whole;
    for (const surveyed_checkpoint& c : found_.checkpoints)
      if (c.info.damage.empty()) whole.push_back(c.info);
    const auto notes = holdfast::detail::reasons_to_keep(whole, {.keep_best = 1, .higher_is_better = options_.higher_is_better});
    std::size_t i = 0;
    for (surveyed_checkpoint& c : found_.checkpoints) c.note = c.info.damage.empty() ? notes[i++] : "";
  }

  /// The content of the best one, and of as many others as may be read.
  std::vector<surveyed_checkpoint*> to_read() {
    std::vector<surveyed_checkpoint*> can, chosen;
    for (surveyed_checkpoint& c : found_.checkpoints)
      if (c.info.damage.empty() && !c.unverifiable) can.push_back(&c);
    std::set<std::size_t> places = spread(can.size(), options_.most_read);
    for (std::size_t i = 0; i < can.size(); ++i)
      if (can[i]->note.find("best") != std::string::npos) places.insert(i);
    for (const std::size_t i : places) chosen.push_back(can[i]);
    return chosen;
  }

  void read_content() {
    const auto chosen = to_read();
    if (!chosen.empty()) require_matches(*chosen.back());
    progress bar("reading");
    for (const surveyed_checkpoint* c : chosen) bar.expect(2 * c->info.bytes);  // at most: for what changed, each is read again beside the next
    std::unique_ptr<reader> before;
    std::uint64_t passed = 0;
    for (surveyed_checkpoint* c : chosen) {
      bar.reach(passed);
      passed += 2 * c->info.bytes;
      try {
        auto in = open(c->info.path, options_.key, holdfast::trust::sealed_only, &bar.storage());
        take(*c, *in, before.get());
        before = std::move(in);
      } catch (const std::exception& e) {
        *c = {.info = std::move(c->info)};
        c->info.damage = one_line(e);
      }
    }
    bar.reach(passed);
  }

  void require_matches(const surveyed_checkpoint& newest) {
    std::unique_ptr<reader> in;
    try {
      in = open(newest.info.path, options_.key);
    } catch (const std::exception&) {
      return;  // its turn comes
    }
    patterns(options_.curves).require_match(*in);
    patterns(options_.histograms).require_match(*in);
  }

  void take(surveyed_checkpoint& c, const reader& in, const reader* before) {
    in.verify_metadata();
    const anatomy parts(in, parameters_);
    const auto rates = options_.curves.empty() ? learning_rates(in) : std::vector<std::string>{};
    const std::set<std::string> usual(rates.begin(), rates.end());
    std::vector<const entry*> floats, others;
    for (const entry& e : in.entries()) {
      if (!holds_data(e)) continue;
      if (options_.curves.empty() ? usual.contains(e.path) : curves_.matches(e.path)) add_curves(c.curves, in, e);
      (of_floats(e) ? floats : others).push_back(&e);
    }
    std::vector<std::pair<statistics, std::optional<double>>> numbers(floats.size());
    const bool together = in.contiguous() != nullptr && (before == nullptr || before->contiguous() != nullptr);
    holdfast::detail::parallel(floats.size(), together ? holdfast::detail::memory_threads() : 1, [&](std::size_t i) {
      numbers[i] = compare(in, *floats[i], parts.parameter(*floats[i]).empty() ? nullptr : before);
    });
    std::vector<surveyed_tensor> tensors;
    std::map<std::string, statistics> strange;
    for (std::size_t i = 0; i < floats.size(); ++i) {
      const entry& e = *floats[i];
      const auto& [s, update] = numbers[i];
      const std::string parameter = parts.parameter(e);
      const auto norm = static_cast<double>(s.norm());
      if (s.nan + s.infinite != 0) strange["/" + e.path] = s;
      if (!parameter.empty()) {
        layer_norms& layer = c.layers[layer_of(parameter)];
        add_square(layer.parameters, norm);
        if (update) add_square(layer.update, *update);
      } else if (const auto [of, kind] = parts.moment(e); !of.empty()) {
        add_square(c.layers[layer_of(of)].moments[kind], norm);
      }
      tensors.push_back({"/" + e.path, holdfast::describe(e.dtype, e.shape), s, !parameter.empty(), update});
    }
    verify_content(in, others);
    // Only now: nothing counts of a file that is damaged.
    c.read = true;
    found_.tensors = std::move(tensors);
    for (const auto& [path, s] : strange) {
      alarm& a = found_.alarms.try_emplace(path, alarm{.first = c.info.step}).first->second;
      ++a.checkpoints;
      a.last = c.info.step;
      a.nan = s.nan, a.infinite = s.infinite, a.elements = s.finite + s.nan + s.infinite;
    }
  }

  void draw_histograms() {
    std::vector<const surveyed_checkpoint*> read;
    for (const surveyed_checkpoint& c : found_.checkpoints)
      if (c.read) read.push_back(&c);
    if (read.empty()) return;
    try {
      std::vector<std::pair<const surveyed_checkpoint*, std::unique_ptr<reader>>> from;
      for (const surveyed_checkpoint* c : {read.front(), read.back()})
        if (from.empty() || from.back().first != c) from.emplace_back(c, open(c->info.path, options_.key));
      for (const std::string& path : histogram_paths(*from.back().second)) found_.histograms.push_back(histogram_of(path, from));
    } catch (const holdfast::error&) {  // it was whole a moment ago: somebody deletes checkpoints, and its histograms are missing
    }
  }

  /// What the patterns match; else matrices among the parameters, evenly spread.
  std::vector<std::string> histogram_paths(const reader& in) {
    const patterns wanted(options_.histograms);
    std::vector<std::string> all, paths;
    for (const entry& e : in.entries())
      if (of_floats(e) && holdfast::detail::family_of(e.dtype) == family::real && (options_.histograms.empty() ? parameters_.matches(e.path) && e.shape.rank() >= 2 : wanted.matches(e.path))) all.push_back(e.path);
    std::sort(all.begin(), all.end(), natural_less);
    for (const std::size_t i : spread(all.size(), options_.histograms.empty() ? usual_histograms : most_histograms)) paths.push_back(all[i]);
    found_.histograms_left_out = all.size() - paths.size();
    return paths;
  }

  template <class Files>
  static histogram histogram_of(const std::string& path, const Files& from) {
    histogram h{.path = "/" + path};
    long double low = std::numeric_limits<long double>::infinity(), high = -low;
    for (const auto& [c, in] : from) {
      const entry* const e = in->find(path);
      if (e == nullptr || !of_floats(*e) || holdfast::detail::family_of(e->dtype) != family::real) continue;
      h.type = holdfast::describe(e->dtype, e->shape);
      statistics s;
      for_each_piece(*in, *e, [&](const std::byte* at, std::uint64_t n) { s.take(at, e->dtype, n); });
      low = std::min(low, s.min), high = std::max(high, s.max);
    }
    if (!(low <= high)) return h;  // nothing in it is finite
    const long double middle = (low + high) / 2;
    if (low == high) low = middle - std::max(std::abs(middle), 1.0l) / 2, high = middle + std::max(std::abs(middle), 1.0l) / 2;
    h.low = static_cast<double>(low), h.high = static_cast<double>(high);
    for (const auto& [c, in] : from) {
      const entry* const e = in->find(path);
      if (e == nullptr || !of_floats(*e) || holdfast::detail::family_of(e->dtype) != family::real) continue;
      std::array<std::uint64_t, bins> counts{};
      std::uint64_t finite = 0;
      for_each_piece(*in, *e, [&](const std::byte* at, std::uint64_t n) {
        for (const double x : widened<double>(at, e->dtype, holdfast::dtype::float64, n)) {
          if (!std::isfinite(x)) continue;
          ++finite;
          ++counts[std::min(static_cast<std::size_t>((x - low) / (high - low) * bins), bins - 1)];
        }
      });
      histogram::line line{.step = c->info.step};
      for (const std::uint64_t n : counts) line.shares.push_back(finite == 0 ? 0 : static_cast<double>(n) / static_cast<double>(finite));
      h.lines.push_back(std::move(line));
    }
    return h;
  }

  const report_options& options_;
  const pattern parameters_;
  const patterns curves_;
  survey found_;
};

}  // namespace

std::set<std::size_t> spread(std::size_t n, std::size_t most) {
  std::set<std::size_t> chosen;
  if (n == 0 || most == 0) return chosen;
  if (most == 1) return {n - 1};
  for (std::size_t i = 0; i < std::min(n, most); ++i) chosen.insert(n <= most ? i : i * (n - 1) / (most - 1));
  return chosen;
}

survey survey_of(const report_options& options) { return surveyor(options).run(); }

}  // namespace tool
