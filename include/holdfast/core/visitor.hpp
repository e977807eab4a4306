#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/core/path.hpp>
#include <holdfast/core/traits.hpp>

namespace holdfast {

/// When the function that puts back a `visitor::value` runs, after all bytes have been read and verified: random
/// generators come last, so that nothing that runs before them (a setter that builds an object) can advance them.
enum class restore_order { normal,
                           random };

/// Whether the file holds what an optional or a pointer bound at a path refers to.
enum class presence { unknown,
                      absent,
                      present };

/// How an object that was compared with a file fits it, see `visitor::fits`.
enum class fit { whole,      ///< and the file has nothing else there
                 partly,     ///< but for what the restore was not asked for, was told to keep where it is missing, or `doubt`s
                 structure,  ///< the file has other parts, or parts of other types
                 no };       ///< a part that both have is of another shape

namespace detail {

/// A tensor-form object without its type.
struct tensor_handle {
  void* object;
  tensor_view (*view)(void*);
  void (*resize)(void*, const shape&);  // null: it cannot
  bool any_size;                        // takes another size even when it is not empty
  bool read_only;
  bool transient = false;                                // its memory is only there during the visit
  bool (*accepts)(const void*, const shape&) = nullptr;  // whether resize can give a shape; null: one of the same rank
  void (*place)(void*, memory_space) = nullptr;          // null: it stays where it is
};

template <class T>
inline constexpr char type_tag = 0;

/// What one pass over a state does with what the visitor meets: describe it for a save, plan a restore, or make the
/// structure a restore needs.
class walk {
 public:
  enum class pass { save,
                    plan,
                    apply };
  explicit walk(pass kind) : kind_(kind) {}
  walk(const walk&) = delete;
  virtual ~walk() = default;

  pass kind() const noexcept { return kind_; }

  virtual void tensor(const std::string& path, const tensor_handle& object) = 0;
  /// A group whose children are decided by the state or the file, not by the type: saved even without children.
  virtual void container(const std::string& path) = 0;
  virtual void absent(const std::string& path) = 0;
  virtual void missing(const std::string&) {}
  virtual presence present(const std::string&) { return presence::unknown; }
  /// Whether the restore was asked for this path.
  virtual bool selected(const std::string&) { return true; }
  /// On restore: type and shape of the tensor that the file holds there.
  virtual std::optional<std::pair<dtype, shape>> incoming_tensor(const std::string&) { return std::nullopt; }
  /// Names of what the file holds directly below, decoded and sorted, each once.
  virtual std::vector<std::string> children(const std::string&) { return {}; }
  virtual void identity(const std::string& path, const std::string& value) = 0;
  virtual void problem(const std::string&, std::string /*expected*/, std::string /*found*/, std::string /*advice*/) {}
  virtual void defer(restore_order, std::function<void()>) {}

  /// See the functions of the same names of `visitor`.
  virtual fit fits(const std::string& /*path*/, bool /*undo*/, const std::function<void()>& compare) {
    compare();
    return fit::whole;
  }
  virtual void at_once(const std::string& /*path*/, const std::function<void(walk&)>&) {}
  virtual void doubt() {}
  virtual void compare(const std::string& /*path*/, const std::function<void(walk&)>& visit) { visit(*this); }
  virtual void accept(const std::string& /*path*/) {}
  virtual std::string canonical(const std::string& path) { return path; }
  virtual std::uint64_t held(const std::string& /*path*/) { return 0; }
  /// How many differences were reported.
  virtual std::size_t differences() const { return 0; }

  /// On save: whether an object of that address and type was visited before; this path becomes a second name of it.
  virtual bool seen(const std::string& /*path*/, const void* /*address*/, const void* /*type*/) { return false; }
  /// On apply: the object of that type that was made for the same data of the file under another name.
  virtual std::shared_ptr<void>* made(const std::string& /*path*/, const void* /*type*/) { return nullptr; }

  void keep(std::shared_ptr<void> object) { kept_.push_back(std::move(object)); }
  /// Gives up what was kept.
  std::vector<std::shared_ptr<void>> release() {
    notes_.clear();
    return std::exchange(kept_, {});
  }

  /// The one T of this pass, made when it is first asked for.
  template <class T>
  T& note() {
    for (auto& [tag, object] : notes_)
      if (tag == &type_tag<T>) return *static_cast<T*>(object.get());
    notes_.emplace_back(&type_tag<T>, std::make_shared<T>());
    return *static_cast<T*>(notes_.back().second.get());
  }

  std::size_t binding = 0;  ///< which binding of the state is being visited

 private:
  pass kind_;
  std::vector<std::shared_ptr<void>> kept_;
  std::vector<std::pair<const void*, std::shared_ptr<void>>> notes_;
};

}  // namespace detail

/// A state that restore may give any size, even where it is not empty: `v("losses", resizable(x.losses))`.
template <class T>
struct resizable_ref {
  T& object;  ///< that takes the file's size
};
/// See `resizable_ref`.
template <class T>
resizable_ref<T> resizable(T& object) { return {object}; }
template <class T>
inline constexpr bool is_view<resizable_ref<T>> = true;

template <class>
class basic_state;

/// Walks a state and gives its parts their paths. User code only calls `v(name, part)`; the other functions are for
/// types whose structure is decided at run time (containers, pointers, state reached through functions).
class visitor {
 public:
  /// For the library, which makes one for each pass.
  visitor(detail::walk& pass, std::string path) : pass_(pass), path_(std::move(path)) {}

  /// Visits a part under its name. Parts are lvalues, or views. A const part can be saved and not restored.
  template <class T>
    requires(std::is_lvalue_reference_v<T &&> || is_view<std::remove_cvref_t<T>>)
  void operator()(std::string_view name, T&& part) {
    const scope below(*this, name);
    here(part);
  }

  /// Visits an object at the current path.
  template <class T>
  void here(T& object) {
    using type = std::remove_const_t<T>;
    static_assert(checkpointable<type>,
                  "holdfast cannot save this type: specialise holdfast::traits<T> with `static tensor_view view(T&)` (tensor "
                  "form) or `static void visit(T&, holdfast::visitor&)` (composite form, or derive it from holdfast::fields)");
    auto& target = const_cast<type&>(object);
    const bool outer = read_only_;
    read_only_ = read_only_ || std::is_const_v<T>;
    if constexpr (tensor_like<type>) {
      pass_.tensor(path_, handle(target));
    } else if constexpr (composite_like<type>) {
      traits<type>::visit(target, *this);
    }
    read_only_ = outer;
  }

  /// State that is reached through functions: `get()` returns a checkpointable value, `set(value)` puts it back after
  /// a restore has read and verified everything. The value is stored at the current path.
  template <class Get, class Set>
  void value(Get&& get, Set&& set, restore_order order = restore_order::normal) {
    using type = std::remove_cvref_t<std::invoke_result_t<Get&>>;
    auto copy = std::make_shared<type>(get());
    pass_.keep(copy);
    here(*copy);
    if (pass_.kind() == detail::walk::pass::apply && !read_only_)
      pass_.defer(order, [copy = copy.get(), set = std::forward<Set>(set)]() mutable { set(std::move(*copy)); });
  }

  /// Text that says what the state at `name` is. It is stored, and a restore requires the same text in the file.
  void identity(std::string_view name, const std::string& text) {
    const scope below(*this, name);
    pass_.identity(path_, text);
  }

  /// Declares the current path a container: its children are decided at run time.
  void container() { pass_.container(path_); }

  /// The names of its children where a container takes them from the file: on restore, when it is empty or resizable.
  std::optional<std::vector<std::string>> incoming(bool empty) {
    if (saving() || read_only_ || !(empty || resizable_) || pass_.present(path_) == presence::unknown) return std::nullopt;
    return pass_.children(path_);
  }

  /// Type and shape of the tensor that a restore finds here in the file, for an object that is made as the file has it.
  std::optional<std::pair<dtype, shape>> incoming_tensor() { return pass_.incoming_tensor(path_); }

  /// Whether the restore was asked for the current path (`.only`, `.except`). What it was not asked for stays as it is,
  /// even where the file says that there is none.
  bool selected() { return pass_.selected(path_); }
  /// The same of a part of that name.
  bool selected(std::string_view name) {
    const scope below(*this, name);
    return selected();
  }

  /// Whether an optional or pointer holds something, now (save) or in the file (restore). Absence is saved as such.
  presence present(bool now) {
    if (saving()) {
      if (!now) pass_.absent(path_);
      return now ? presence::present : presence::absent;
    }
    const presence found = pass_.present(path_);
    if (found == presence::unknown && !now) pass_.missing(path_);
    if (found == presence::absent && now && read_only_) problem("an object that may change", "one bound as const", "bind it as non-const, or leave it out with .except");
    return found;
  }

  /// Visits, under `name` or here, a default-constructed T in place of one that the restore will make.
  template <class T>
  void prototype(std::string_view name) {
    const scope below(*this, name);
    prototype_here<T>();
  }
  /// The same, at the current path.
  template <class T>
  void prototype_here() {
    if constexpr (std::default_initializable<T>) {
      auto made = std::make_shared<std::remove_const_t<T>>();
      pass_.keep(made);
      here(static_cast<T&>(*made));
    } else {
      problem("an object of a type with a default constructor", "one to be made", "make it before the restore");
    }
  }

  /// Keeps an object alive for as long as this pass over the state may refer to it.
  void keep(std::shared_ptr<void> object) { pass_.keep(std::move(object)); }

  /// Reports, while a restore is planned, that the file does not fit here. What loads `at_once` ends there.
  void problem(std::string expected, std::string found, std::string advice = {}) {
    pass_.problem(path_, std::move(expected), std::move(found), std::move(advice));
  }

  /// Visits a part whose memory is only there during the visit: a save copies what it holds.
  template <class T>
  void transient(std::string_view name, T& part) {
    const scope below(*this, name);
    const bool outer = std::exchange(transient_, true);
    here(part);
    transient_ = outer;
  }
  /// Whether what is visited now is only there during the visit.
  bool transient() const noexcept { return transient_; }
  /// The same for what is visited from now on, and how it was.
  bool set_transient(bool to) noexcept { return std::exchange(transient_, to); }

  /// Types whose own code reads as it goes, as `load` functions do, restore in three steps: while the restore is planned, `fits`
  /// compares the live object with the file; where the file has other parts, an object that stands in for it is restored
  /// `at_once`, which reports what the file lacks; and the live object is restored `at_once` when the plan holds.
  ///
  /// `fits` calls `compare`, which visits the object, and says whether that is all that the file has here. With `undo`, what was
  /// reported is forgotten where the file has other parts, or parts were left out, since something else will be tried.
  template <class F>
  fit fits(bool undo, F&& compare) {
    return pass_.fits(path_, undo, std::forward<F>(compare));
  }
  /// Calls `load` with a visitor for the current path that brings everything it visits to the file's state before it returns,
  /// sizes included. A difference that it meets ends `load` by an exception, and is reported. Does nothing while saving.
  template <class F>
  void at_once(F&& load) {
    pass_.at_once(path_, [&](detail::walk& now) {
      visitor v(now, path_);
      v.resizable_ = true;
      load(v);
    });
  }

  /// Makes an object that is being compared fit in parts at most: a value may lead its code to other parts.
  void doubt() { pass_.doubt(); }
  /// Calls `visit` with a visitor that only compares, also where this one restores at once.
  template <class F>
  void compare(F&& visit) {
    pass_.compare(path_, [&](detail::walk& planning) {
      visitor v(planning, path_);
      v.resizable_ = resizable_, v.read_only_ = read_only_;
      visit(v);
    });
  }

  /// Counts what the file has at and below the current path as restored: it is another name of what was.
  void accept() { pass_.accept(path_); }
  /// The path in the file of what is at the current path, the same for all names of shared data.
  std::string canonical() { return pass_.canonical(path_); }
  /// The same of another path.
  std::string canonical(const std::string& path) { return pass_.canonical(path); }
  /// Entries and bytes that the file has at and below the current path and that the restore was asked for, which bound the
  /// elements of any container there.
  std::uint64_t held() { return pass_.held(path_); }
  /// The one T that belongs to this pass over the state.
  template <class T>
  T& note() { return pass_.note<T>(); }
  /// A visitor for a part, for a visit that comes later.
  visitor below(std::string_view name) const {
    visitor v(*this);
    if (!v.path_.empty()) v.path_ += '/';
    v.path_ += name;
    return v;
  }
  /// On save: whether an object of that address and type was visited before; this path is then a second name of it. Keep what
  /// may be gone before the pass ends.
  bool seen(const void* address, const void* type) { return pass_.seen(path_, address, type); }

  /// Visits what a pointer that may share its object with others points to; the second pointer to one object becomes a
  /// second name of it in the file, and comes back pointing to the object of the first.
  template <class T>
  void shared(std::shared_ptr<T>& pointer) {
    switch (present(pointer != nullptr)) {
      case presence::unknown:
        if (pointer == nullptr) return;
        break;
      case presence::absent:
        if (applying()) pointer.reset();
        return;
      case presence::present:
        if (saving() && pass_.seen(path_, pointer.get(), &detail::type_tag<T>)) return;
        if (!applying()) break;
        if (std::shared_ptr<void>* first = pass_.made(path_, &detail::type_tag<T>)) {
          if (*first != nullptr) {
            pointer = std::static_pointer_cast<T>(*first);
            return accept();
          }
          if constexpr (std::default_initializable<T>)
            if (pointer == nullptr) pointer = std::make_shared<T>();
          *first = std::const_pointer_cast<std::remove_const_t<T>>(pointer);
        }
    }
    if (pointer != nullptr) here(*pointer);
    else prototype_here<T>();
  }

  /// Visits `object` with every size in it left to the file.
  template <class T>
  void resizable(T& object) {
    const bool outer = std::exchange(resizable_, true);
    here(object);
    resizable_ = outer;
  }

  /// Whether this pass describes the state, for a save.
  bool saving() const noexcept { return pass_.kind() == detail::walk::pass::save; }
  /// Whether this pass compares the state with a file, and must change nothing.
  bool planning() const noexcept { return pass_.kind() == detail::walk::pass::plan; }
  /// Whether this pass restores, and what is visited may change.
  bool applying() const noexcept { return pass_.kind() == detail::walk::pass::apply && !read_only_; }
  /// Whether what is visited was bound as const, or lies in what was.
  bool read_only() const noexcept { return read_only_; }
  /// The path of what is visited, without a leading slash.
  const std::string& path() const noexcept { return path_; }

 private:
  /// Appends a name to the path for as long as it lives.
  class scope {
   public:
    scope(visitor& v, std::string_view name) : v_(v), length_(v.path_.size()) {
      if (!v.path_.empty()) v.path_ += '/';
      v.path_ += name;
    }
    scope(const scope&) = delete;
    ~scope() { v_.path_.resize(length_); }

   private:
    visitor& v_;
    std::size_t length_;
  };

  template <class>
  friend class basic_state;

  template <class T>
  detail::tensor_handle handle(T& object) const {
    detail::tensor_handle h{&object, [](void* p) { return tensor_view(traits<T>::view(*static_cast<T*>(p))); }, nullptr, resizable_, read_only_, transient_};
    if constexpr (requires(T& t, const shape& s) { traits<T>::resize(t, s); })
      h.resize = [](void* p, const shape& s) { traits<T>::resize(*static_cast<T*>(p), s); };
    if constexpr (requires(const T& t, const shape& s) { { traits<T>::accepts(t, s) } -> std::convertible_to<bool>; })
      h.accepts = [](const void* p, const shape& s) { return bool(traits<T>::accepts(*static_cast<const T*>(p), s)); };
    if constexpr (requires(T& t, memory_space s) { traits<T>::place(t, s); })
      h.place = [](void* p, memory_space s) { traits<T>::place(*static_cast<T*>(p), s); };
    if constexpr (requires { { traits<T>::any_size } -> std::convertible_to<bool>; }) h.any_size = h.any_size || traits<T>::any_size;
    if constexpr (requires { { traits<T>::read_only } -> std::convertible_to<bool>; }) h.read_only = h.read_only || traits<T>::read_only;
    return h;
  }

  detail::walk& pass_;
  std::string path_;
  bool read_only_ = false, resizable_ = false, transient_ = false;
};

template <class T>
struct traits<resizable_ref<T>> {
  static void visit(resizable_ref<T>& r, visitor& v) { v.resizable(r.object); }
};

}  // namespace holdfast
