#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/immediate.hpp>
#include <holdfast/checkpoint/open.hpp>
#include <holdfast/checkpoint/plan.hpp>
#include <holdfast/checkpoint/restore_options.hpp>
#include <holdfast/checkpoint/transfer.hpp>
#include <holdfast/core/state.hpp>

namespace holdfast {

/// What a restore did.
struct restore_report {
  std::string file{};                     ///< its name
  std::int64_t step = -1;                 ///< the step the file was saved with; -1 if none
  bool sealed = false;                    ///< whether the file was as holdfast wrote it
  bool verified = false;                  ///< whether every restored tensor had a digest and it was compared
  std::uint64_t bytes = 0;                ///< restored from the file
  std::vector<std::string> restored{};    ///< paths as bound
  std::vector<std::string> converted{};   ///< of these, those that got another dtype
  std::vector<std::string> missing{};     ///< bound, not in the file, kept as they were
  std::vector<std::string> unexpected{};  ///< in the file, not bound
  std::vector<std::string> untied{};      ///< second names of shared data that the program binds to memory of their own
};

namespace detail {

/// What a restore reads to one path.
struct assignment {
  std::string_view path;  ///< as bound
  const entry* source;
  tensor_view target;
};

/// The pass that makes the structure a restore needs: containers and tensors get the file's sizes, null pointers get
/// objects. It collects where the bytes go and what has to run after them.
template <class X>
class basic_apply_walk final : public walk {
 public:
  /// `planning` is the pass that planned this restore.
  basic_apply_walk(const hdf5::reader& from, const selection& chosen, const restore_options& options, walk& planning)
      : walk(pass::apply), chosen_(chosen), place_(options.place), now_(from, chosen, options, planning, this) {
    assignments_.reserve(chosen.items().size());
  }

  const std::vector<assignment>& assignments() const noexcept { return assignments_; }

  /// Runs what was deferred in that order.
  void finish(restore_order now) {
    for (auto& [order, run] : deferred_)
      if (order == now) run();
  }

 private:
  void tensor(const std::string& path, const tensor_handle& object) override {
    const auto* const of = chosen_.selected(path) ? chosen_.item_of(path) : nullptr;
    if (of == nullptr) return;
    const entry* const e = of->source;
    assignments_.push_back({of->path, e, fitted<X>(object, path, *e, place_)});
  }
  void container(const std::string&) override {}
  void absent(const std::string&) override {}
  void identity(const std::string&, const std::string&) override {}
  presence present(const std::string& path) override { return chosen_.present(path); }
  bool selected(const std::string& path) override { return chosen_.selected(path); }
  std::optional<std::pair<dtype, shape>> incoming_tensor(const std::string& path) override { return chosen_.tensor(path); }
  std::vector<std::string> children(const std::string& path) override { return chosen_.children(path); }
  void defer(restore_order order, std::function<void()> run) override { deferred_.push_back({order, std::move(run)}); }
  std::shared_ptr<void>* made(const std::string& path, const void* type) override { return &made_[{chosen_.canonical(path), type}]; }
  void at_once(const std::string&, const std::function<void(walk&)>& load) override { load(now_); }
  std::string canonical(const std::string& path) override { return chosen_.canonical(path); }
  std::uint64_t held(const std::string& path) override { return chosen_.held(path); }

  const selection& chosen_;
  const placement& place_;
  basic_immediate_walk<X> now_;
  std::vector<assignment> assignments_;
  struct deferred {
    restore_order order;
    std::function<void()> run;
  };
  struct shared_object {
    std::string path;
    const void* type;
    friend auto operator<=>(const shared_object&, const shared_object&) = default;
  };
  std::vector<deferred> deferred_;
  std::map<shared_object, std::shared_ptr<void>> made_;
};
using apply_walk = basic_apply_walk<void>;

/// How much of the state an error in the middle of a restore leaves changed.
template <class = void>
std::string partly(std::size_t done, std::size_t total) {
  return "; the state is partly restored (" + std::to_string(done) + " of " + std::to_string(total) + " tensors): restore another checkpoint or start anew";
}

/// Opens a file as `restore` does: what belongs to no tensor is verified at once, so that damage anywhere but in content
/// that was not asked for is found.
template <class = void>
std::unique_ptr<hdf5::reader> open_to_restore(const std::string& path, const restore_options& options, io::storage* storage = nullptr) {
  auto from = open_reader(path, options.trust, storage, options.key);
  if (options.verify != verify::off) from->verify_metadata();
  return from;
}

/// Checks the whole plan, then makes the structure, then reads: see `restore`.
template <class X>
restore_report restore_from(const hdf5::reader& from, const basic_selection<X>& chosen, state& bound, const restore_options& options) {
  basic_plan_walk<X> planning(from, chosen, options);
  plan decided = planning.run(bound);
  if (!decided.ok()) throw mismatch_error(from.file(), std::move(decided.differences));
  const bool verified = options.verify != verify::off;
  if (options.verify == verify::before) {
    std::vector<transfer> all;
    for (const auto& m : planning.matches()) all.push_back({m.of->source, nullptr, m.view.shard()});
    basic_transfers<X>(from, std::move(all), true).run();
  }

  restore_report report{.file = from.file(), .step = from.step(), .sealed = from.sealed(), .verified = verified};
  report.missing = std::move(decided.missing);
  report.unexpected = std::move(decided.unexpected);
  const std::size_t planned = planning.matches().size();
  std::size_t total = planned;
  basic_device_targets<X> devices;
  std::optional<basic_transfers<X>> content;
  const auto at_once = [&] { return std::span(planning.matches()).subspan(planned); };  // what was read while it was visited
  const auto so_far = [&] { return partly((content ? content->done() : 0) + at_once().size(), total); };
  try {
    basic_apply_walk<X> made(from, chosen, options, planning);
    bound.visit(made);
    std::map<std::string_view, const assignment*> owners;  // by the path in the file whose data it is
    std::vector<transfer> reads;
    reads.reserve(total);
    report.restored.reserve(total);
    const auto& all = made.assignments();
    const bool any_ties = std::any_of(all.begin(), all.end(), [](const assignment& t) { return !t.source->alias_of.empty(); });
    for (const assignment& t : all) {
      report.restored.emplace_back(t.path);
      if (t.target.dtype() != t.source->dtype) report.converted.emplace_back(t.path);
      report.verified = report.verified && from.has_digest(*t.source);
      if (!any_ties) {
        reads.push_back({t.source, &t.target, t.target.shard()});
        continue;
      }
      const auto [owner, is_first] = owners.try_emplace(t.source->alias_of.empty() ? t.source->path : t.source->alias_of, &t);
      const bool tied = !is_first && same_memory(owner->second->target, t.target);
      if (!tied) reads.push_back({t.source, &t.target, t.target.shard()});
      if (!tied && !is_first) report.untied.emplace_back(t.path);
    }
    for (const auto& m : at_once()) {
      report.restored.emplace_back(m.of->path);
      if (m.converts) report.converted.emplace_back(m.of->path);
      report.verified = report.verified && from.has_digest(*m.of->source);
      report.bytes += m.of->source->bytes;
    }
    total = reads.size() + at_once().size();
    for (const transfer& t : reads) report.bytes += t.part != nullptr ? t.part->elements() * size_of(t.source->dtype) : t.source->bytes;
    devices.meet(reads, from.digest_block());
    content.emplace(from, reads, options.verify == verify::during, devices.slots());
    content->run();
    devices.finish();
    if (options.read_back) devices.read_back(from, reads);
    made.finish(restore_order::normal);
    bound.run_after_restore();
    made.finish(restore_order::random);
  } catch (const typename basic_immediate_walk<X>::differs&) {
    const difference& d = planning.recorded().back();
    throw error(from.file() + ": /" + d.path + ": expected " + d.expected + ", found " + (d.found.empty() ? "nothing" : d.found) +
                " while the program's own code loaded it, which asked for something else than when the restore was planned" + so_far());
  } catch (const integrity_error& e) {
    throw integrity_error(std::string(e.what()) + so_far());
  } catch (const format_error& e) {
    throw format_error(std::string(e.what()) + so_far());
  } catch (const io_error& e) {
    throw io_error(from.file() + ": cannot read" + so_far(), e.code());
  } catch (const std::exception& e) {
    throw error(from.file() + ": " + e.what() + so_far());
  }
  return report;
}

}  // namespace detail

/// Decides what `restore` with the same arguments would do, as data. Throws `io_error`, `format_error` or
/// `integrity_error` for a file that cannot be read, and `error` for a malformed pattern; differences are in the plan.
template <class X = void>
plan plan_restore(const std::string& path, const state& bound, const restore_options& options = {}) {
  const auto from = detail::open_reader(path, options.trust, nullptr, options.key);
  const detail::basic_selection<X> chosen(*from, options);
  detail::basic_plan_walk<X> walk(*from, chosen, options);
  plan decided = walk.run(bound);
  decided.restored.reserve(walk.matches().size());
  for (const auto& m : walk.matches()) {
    const entry& e = *m.of->source;
    decided.restored.push_back({std::string(m.of->path), e.path, e.dtype, e.shape, e.bytes, m.converts});
  }
  return decided;
}

/// Restores everything bound from the file. Strict unless told otherwise, as PyTorch's load_state_dict: every bound path
/// is in the file, nothing is left over, dtypes and shapes are equal. What is empty takes the file's size. The whole
/// plan is checked first, and a `mismatch_error` with all differences is thrown before a byte of the state changes; so
/// do `io_error`, `format_error` and `integrity_error` for a file that cannot be opened. An error while data is read
/// leaves the state partly restored, and its message says so; `verify::before` reads everything twice to make damage
/// such an error from before the first change. Random generators are put back last.
template <class X = void>
restore_report restore(const std::string& path, state& bound, const restore_options& options = {}) {
  const auto from = detail::open_to_restore(path, options);
  return detail::restore_from(*from, detail::basic_selection<X>(*from, options), bound, options);
}

}  // namespace holdfast
