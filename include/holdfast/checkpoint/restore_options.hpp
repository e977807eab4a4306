#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/core/digest.hpp>
#include <holdfast/core/memory_space.hpp>

namespace holdfast {

/// What to do with a bound path that the file does not have.
enum class on_missing { error,
                        keep };
/// What to do with a path of the file that nothing is bound to.
enum class on_unexpected { error,
                           ignore };
/// Whether data may be converted to the bound element type: between floating-point types (rounding to nearest), to a
/// wider integer, from an integer or bool to a floating-point type, from real to complex. Nothing else is converted.
enum class cast { refuse,
                  allow };
/// When digests are compared: in the pass that copies (a damaged tensor is found when it, and those before it, are
/// already overwritten; the error says so), in a pass of its own before anything is changed, or never.
enum class verify { during,
                    before,
                    off };
/// Which files may be read: only those whose seal shows that they are as holdfast wrote them, which never go through
/// libhdf5, or any HDF5 file. libhdf5 itself crashed on 1.7 to 4% and hung on 0.25% of files with a few changed bytes:
/// `foreign` is for files whose origin one trusts. Even then no link but a hard one is followed, no virtual dataset,
/// external storage or filter that is not HDF5's own is read, and what a file may claim is limited by its size.
enum class trust { sealed_only,
                   foreign };

/// Gives paths of the file other names: both are patterns with the same wildcards, as {"encoder/**", "model/trunk/**"}.
struct rename_rule {
  std::string from;  ///< in the file
  std::string to;    ///< as bound
};

/// Where restored tensors shall live: nothing (each stays where it is bound), one memory space for all, `as_saved`, or a
/// function of (path as bound, place when it was saved), as `map_location` of torch.load. Only a type that owns its memory
/// and whose traits have `place` can move; for another one any other place is a difference. But one memory space for all leaves
/// types that only live on the host (counters, generators, std::vector) there.
class placement {
 public:
  placement() = default;
  /// One memory space for all that can move.
  placement(memory_space everywhere) : choose_([everywhere](std::string_view, memory_space) { return everywhere; }), for_all_(true) {}
  /// A function of (path as bound, place when it was saved).
  template <class F>
    requires(std::is_invocable_r_v<memory_space, F, std::string_view, memory_space> && !std::same_as<std::remove_cvref_t<F>, placement>)
  placement(F choose) : choose_(std::move(choose)) {}

  /// Whether anything is to move.
  explicit operator bool() const noexcept { return static_cast<bool>(choose_); }
  /// Where a tensor goes.
  memory_space operator()(std::string_view path, memory_space saved) const { return choose_(path, saved); }
  /// Whether it is one memory space for all.
  bool for_all() const noexcept { return for_all_; }

 private:
  std::function<memory_space(std::string_view, memory_space)> choose_;
  bool for_all_ = false;
};

/// Each tensor where it lived when it was saved.
inline memory_space as_saved(std::string_view /*path*/, memory_space saved) { return saved; }

/// Patterns name paths as the program binds them: `*` is any text inside a component, `**` any text, `?` one character,
/// and a pattern that matches a group matches all below it. A path is selected if it matches one of `only` (or `only`
/// is empty) and none of `except`; what is not selected is neither missing nor unexpected and stays as it is. A pattern
/// of `only` or `rename` that matches nothing is an error, since it is most likely misspelt.
struct restore_options {
  std::vector<std::string> only{};                       ///< patterns of what to restore; empty: everything
  std::vector<std::string> except{};                     ///< patterns of what to leave as it is
  std::vector<rename_rule> rename{};                     ///< the first that matches a path of the file counts
  on_missing missing = on_missing::error;                ///< of what is bound and not in the file
  on_unexpected unexpected = on_unexpected::error;       ///< of what is in the file and not bound
  holdfast::cast cast = holdfast::cast::refuse;          ///< whether other element types are converted
  placement place{};                                     ///< where tensors shall live; empty: where they are bound
  holdfast::verify verify = holdfast::verify::during;    ///< when digests are compared
  holdfast::trust trust = holdfast::trust::sealed_only;  ///< which files may be read
  seal_key key{};                                        ///< only a file that was sealed with this key is read; null: only files sealed without one
  bool read_back = false;                                ///< what arrived in the memory of a GPU is copied back and its digest compared, but for shards, of which the file has none
};

}  // namespace holdfast
