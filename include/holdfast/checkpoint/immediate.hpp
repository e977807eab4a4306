#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/restore_options.hpp>
#include <holdfast/checkpoint/selection.hpp>
#include <holdfast/checkpoint/transfer.hpp>
#include <holdfast/core/error.hpp>
#include <holdfast/core/visitor.hpp>
#include <holdfast/hdf5/reader.hpp>

namespace holdfast::detail {

/// Brings an object to the place and the shape that a restore wants, and says where its elements then are.
template <class = void>
tensor_view fitted(const tensor_handle& object, const std::string& path, const entry& e, const placement& place) {
  tensor_view view = object.view(object.object);
  if (place && object.place != nullptr && place(path, e.place) != view.space()) {
    object.place(object.object, place(path, e.place));
    view = object.view(object.object);
  }
  if (view.whole_shape() == e.shape) return view;
  object.resize(object.object, e.shape);
  view = object.view(object.object);
  if (view.shape() != e.shape) throw error("/" + path + ": traits resize gave " + view.shape().text() + ", expected " + e.shape.text());
  return view;
}

/// The pass behind `visitor::at_once`: it restores each object while it visits it. Everything is compared first by the pass that
/// plans the restore, which records the differences; the first one ends the visit by `differs`.
template <class X>
class basic_immediate_walk final : public walk {
 public:
  struct differs {};

  /// `checks` plans; `made` is the pass that knows which shared objects exist, this one if it is null.
  basic_immediate_walk(const hdf5::reader& from, const selection& chosen, const restore_options& options, walk& checks, walk* made)
      : walk(pass::apply), from_(from), chosen_(chosen), place_(options.place), verified_(options.verify != verify::off), checks_(checks), others_(made) {}

 private:
  void tensor(const std::string& path, const tensor_handle& object) override {
    tensor_handle stands_in = object;
    stands_in.transient = true;
    check([&] { checks_.tensor(path, stands_in); });
    const auto* const of = chosen_.selected(path) ? chosen_.item_of(path) : nullptr;
    if (of == nullptr) return;
    const entry& e = *of->source;
    const tensor_view view = fitted<X>(object, path, e, place_);
    if (e.bytes <= small && !on_device(view) && view.contiguous() && view.dtype() == e.dtype && e.dtype != dtype::boolean) return read_small(e, view);
    std::vector<transfer> all{{&e, &view, view.shard()}};
    basic_device_targets<X> devices;
    devices.meet(all, from_.digest_block());
    basic_transfers<X>(from_, all, verified_, devices.slots()).run();
    devices.finish();
  }

  void read_small(const entry& e, const tensor_view& view) const {
    if (e.bytes == 0) return;
    const std::span<std::byte> to(view.data(), e.bytes);
    from_.read(e, 0, e.bytes / size_of(e.dtype), to.data());
    if (!verified_) return;
    const digest d = digest_of(to, from_.key());
    from_.verify(e, std::span(&d, 1));
  }

  void container(const std::string& path) override {
    check([&] { checks_.container(path); });
  }
  void absent(const std::string&) override {}
  void missing(const std::string& path) override {
    check([&] { checks_.missing(path); });
  }
  presence present(const std::string& path) override { return checks_.present(path); }
  bool selected(const std::string& path) override { return chosen_.selected(path); }
  std::optional<std::pair<dtype, shape>> incoming_tensor(const std::string& path) override { return chosen_.tensor(path); }
  std::vector<std::string> children(const std::string& path) override { return chosen_.children(path); }
  void identity(const std::string& path, const std::string& value) override {
    check([&] { checks_.identity(path, value); });
  }
  void problem(const std::string& path, std::string expected, std::string found, std::string advice) override {
    checks_.problem(path, std::move(expected), std::move(found), std::move(advice));
    throw differs();
  }
  void defer(restore_order, std::function<void()> run) override { run(); }
  std::shared_ptr<void>* made(const std::string& path, const void* type) override {
    if (others_ != nullptr) return others_->made(path, type);
    for (auto& [of, object] : made_)
      if (of.first == chosen_.canonical(path) && of.second == type) return &object;
    made_.push_back({{chosen_.canonical(path), type}, nullptr});
    return &made_.back().second;
  }
  void at_once(const std::string&, const std::function<void(walk&)>& load) override { load(*this); }
  void compare(const std::string&, const std::function<void(walk&)>& visit) override {
    check([&] { visit(checks_); });
  }
  void accept(const std::string& path) override { checks_.accept(path); }
  std::string canonical(const std::string& path) override { return chosen_.canonical(path); }
  std::uint64_t held(const std::string& path) override { return chosen_.held(path); }

  template <class F>
  void check(F&& compare) const {
    const std::size_t before = checks_.differences();
    compare();
    if (checks_.differences() != before) throw differs();
  }

  static constexpr std::uint64_t small = std::uint64_t{64} << 10;

  const hdf5::reader& from_;
  const selection& chosen_;
  const placement& place_;
  bool verified_;
  walk &checks_, *others_;
  std::vector<std::pair<std::pair<std::string, const void*>, std::shared_ptr<void>>> made_;
};

}  // namespace holdfast::detail
