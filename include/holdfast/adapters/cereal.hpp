#pragma once
/// Types with cereal functions bind as they are: docs/guides/cereal.md. Include it before CEREAL_REGISTER_TYPE, as an archive.
///
///   struct layer {
///     std::vector<float> weight, bias;
///     template <class Archive>
///     void serialize(Archive& archive) { archive(CEREAL_NVP(weight), CEREAL_NVP(bias)); }
///   };
///   state.bind("fc1", fc1);  // fc1/weight and fc1/bias
#include <concepts>
#include <memory>
#include <type_traits>

#include <holdfast/adapters/cereal/archives.hpp>
#include <holdfast/adapters/cereal/pointers.hpp>
#include <holdfast/core/views.hpp>
#include <holdfast/core/visitor.hpp>

namespace holdfast {

/// The archives that cereal functions meet, for functions that treat archives differently.
using cereal_output_archive = detail::cereal_saver;
/// The archive of a restore.
using cereal_input_archive = detail::cereal_loader;

namespace detail {

/// An object that has cereal functions and no traits: a group of what its functions give the archive, under the names of their
/// name-value pairs, and numbered without.
template <has_cereal_functions T>
struct fallback_traits<T> {
  static void visit(T& x, visitor& v) {
    const auto compare = [&x](visitor& to) { return save(x, to); };
    if (v.applying()) {
      return v.at_once([&](visitor& now) {
        if (now.held() == 0) now.compare(compare);  // it stays as it is, if that was asked for
        else load(x, now);
      });
    }
    if (v.saving() || (v.planning() && v.held() == 0)) compare(v);
    if (!v.planning() || v.held() == 0) return;
    if constexpr (cereal_loads<T>) {
      const auto stand_in = [](visitor& now) {
        if constexpr (std::default_initializable<T>) {
          const auto made = std::make_unique<T>();
          load(*made, now);
        } else if constexpr (cereal_constructs<T>) {
          std::unique_ptr<T> made;
          cereal_make(made, now, [](const auto&) {});
        }
      };
      cereal_plan(v, std::default_initializable<T> || cereal_constructs<T>, [&] { return compare(v); }, stand_in);
    } else {
      v.problem("a type that cereal loads", "one that it only saves", "give it a load function, or bind a pointer to it that load_and_construct makes");
    }
  }

 private:
  static bool save(const T& x, visitor& v) {
    const cereal_visit open(v, x);
    cereal_saver archive(v, std::addressof(x), sizeof(T));
    archive.object(x);
    if (!archive.any()) v.container();
    return archive.differs();
  }
  static void load(T& x, visitor& v) {
    if constexpr (cereal_loads<T>) {
      const cereal_visit open(v, x);
      cereal_loader archive(v, std::addressof(x), sizeof(T));
      archive.object(x);
    }
  }
};

/// Numbers that no dtype has, such as long double, as they lie in memory.
template <class T>
  requires(std::is_arithmetic_v<T> && !element<T>)
struct fallback_traits<T> {
  static void visit(T& x, visitor& v) {
    auto bytes = opaque(x);
    v.here(bytes);
  }
};

}  // namespace detail
}  // namespace holdfast
