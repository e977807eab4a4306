#pragma once
#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <mpi.h>

#include <holdfast/core/digest.hpp>
#include <holdfast/core/error.hpp>

namespace holdfast::mpi::detail {

template <class = void>
void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw error(std::string(call) + ": " + std::string(text, static_cast<std::size_t>(length)));
}

/// Starts a nonblocking call and returns when it has ended on this rank. MPI_Wait would hold a processor for as long, which other
/// ranks may need, and the program's own threads beside a save in the background: this soon sleeps, at most half of what it has
/// waited and 0.3 ms.
template <class Start>
void finish(const char* call, Start&& start) {
  using namespace std::chrono_literals;
  MPI_Request request = MPI_REQUEST_NULL;
  check(start(&request), call);
  const auto begin = std::chrono::steady_clock::now();
  int ended = 0;
  for (int looks = 0;; ++looks) {
    check(MPI_Test(&request, &ended, MPI_STATUS_IGNORE), call);
    if (ended) return;
    const std::chrono::nanoseconds waited = std::chrono::steady_clock::now() - begin;
    if (waited < 50us || looks < 32) std::this_thread::yield();
    else std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(waited / 2, 300us));
  }
}

/// Numbers and texts one after the other, to be sent.
template <class>
class basic_packer {
 public:
  template <class T>
    requires(std::is_trivially_copyable_v<T> && !std::is_array_v<T>)
  basic_packer& put(const T& value) {
    append(std::as_bytes(std::span(&value, 1)));
    return *this;
  }
  basic_packer& put(std::string_view text) {
    put(std::uint64_t{text.size()});
    append(std::as_bytes(std::span(text)));
    return *this;
  }
  template <class T>
  basic_packer& put_all(std::span<const T> values) {
    put(std::uint64_t{values.size()});
    append(std::as_bytes(values));
    return *this;
  }
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }
  void clear() noexcept { bytes_.clear(); }
  void append(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  const std::vector<std::byte>& bytes() const noexcept { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};
using packer = basic_packer<void>;

/// The same received, in the same order.
template <class>
class basic_unpacker {
 public:
  explicit basic_unpacker(std::span<const std::byte> bytes) : rest_(bytes) {}
  template <class T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string text() { return text(get<std::uint64_t>()); }
  std::string text(std::size_t size) {
    const auto bytes = take(size);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  template <class T>
  std::vector<T> all() {
    std::vector<T> values(get<std::uint64_t>());
    const auto bytes = take(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  std::span<const std::byte> take(std::size_t n) {
    if (n > rest_.size()) throw error("a message of another rank ends too early: do all ranks run the same version of holdfast?");
    return std::exchange(rest_, rest_.subspan(n)).first(n);
  }
  bool empty() const noexcept { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};
using unpacker = basic_unpacker<void>;

/// What the library does with a communicator, which it refers to. Every function is collective: all ranks call it.
template <class>
class basic_communicator {
 public:
  explicit basic_communicator(MPI_Comm comm) : comm_(comm) {
    check(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
  }

  MPI_Comm get() const noexcept { return comm_; }
  int rank() const noexcept { return rank_; }
  int size() const noexcept { return size_; }
  bool root() const noexcept { return rank_ == 0; }

  /// The least of what the ranks give.
  std::int64_t least(std::int64_t mine) const {
    std::int64_t result = 0;
    finish("MPI_Iallreduce", [&](MPI_Request* r) { return MPI_Iallreduce(&mine, &result, 1, MPI_INT64_T, MPI_MIN, comm_, r); });
    return result;
  }
  /// The same for many at once, one byte each.
  std::vector<std::uint8_t> least(const std::vector<std::uint8_t>& mine) const {
    std::vector<std::uint8_t> result(mine.size(), 0);
    finish("MPI_Iallreduce", [&](MPI_Request* r) { return MPI_Iallreduce(mine.data(), result.data(), static_cast<int>(mine.size()), MPI_UINT8_T, MPI_MIN, comm_, r); });
    return result;
  }
  bool all(bool mine) const { return least(mine) != 0; }
  bool any(bool mine) const { return !all(!mine); }
  /// Asks several things in one call: of each digest whether all ranks give the same, and of each answer whether it is yes on all. In
  /// this order.
  template <std::size_t Digests, std::size_t Answers>
  std::array<bool, Digests + Answers> ask(const digest (&mine)[Digests], const bool (&answers)[Answers]) const {
    std::vector<std::uint8_t> given;
    for (const digest& d : mine) {
      given.insert(given.end(), d.bytes.begin(), d.bytes.end());
      for (const std::uint8_t byte : d.bytes) given.push_back(static_cast<std::uint8_t>(~byte));
    }
    given.insert(given.end(), std::begin(answers), std::end(answers));
    const auto least = this->least(given);
    std::array<bool, Digests + Answers> all{};
    auto at = least.begin();
    for (std::size_t d = 0; d < Digests; ++d) {
      const auto complements = at + sizeof(digest);  // of the most that any rank gives
      all[d] = std::equal(at, complements, complements, [](std::uint8_t lowest, std::uint8_t of_most) { return lowest == static_cast<std::uint8_t>(~of_most); });
      at = complements + sizeof(digest);
    }
    std::transform(at, least.end(), all.begin() + Digests, [](std::uint8_t yes) { return yes != 0; });
    return all;
  }

  /// Gives every rank the bytes of one. Those of the first call, which also says how many there are, are `expected`, the same number on
  /// all ranks: where there are no more it is the only one.
  void broadcast(std::vector<std::byte>& bytes, int from = 0, std::size_t expected = 4096) const {
    std::uint64_t n = bytes.size();
    expected = std::min<std::size_t>(expected, most);
    std::vector<std::byte> first(sizeof n + expected);
    if (rank_ == from) {
      std::memcpy(first.data(), &n, sizeof n);
      std::copy_n(bytes.begin(), std::min<std::size_t>(n, expected), first.begin() + sizeof n);
    }
    finish("MPI_Ibcast", [&](MPI_Request* r) { return MPI_Ibcast(first.data(), static_cast<int>(first.size()), MPI_BYTE, from, comm_, r); });
    std::memcpy(&n, first.data(), sizeof n);
    bytes.resize(n);
    std::copy_n(first.begin() + sizeof n, std::min<std::size_t>(n, expected), bytes.begin());
    for (std::uint64_t at = expected; at < n; at += most)
      finish("MPI_Ibcast", [&](MPI_Request* r) { return MPI_Ibcast(bytes.data() + at, static_cast<int>(std::min(most, n - at)), MPI_BYTE, from, comm_, r); });
  }

  /// Brings what every rank gives to rank 0, which gets them by rank; the others get nothing. One call less where it is known to all that
  /// all give as many bytes.
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine, bool same_size = false) const {
    const auto ranks = static_cast<std::size_t>(size_);
    const std::uint64_t n = mine.size(), piece = std::max<std::uint64_t>(most / ranks, 1);
    std::vector<std::uint64_t> bytes(ranks, n);
    if (!same_size) finish("MPI_Iallgather", [&](MPI_Request* r) { return MPI_Iallgather(&n, 1, MPI_UINT64_T, bytes.data(), 1, MPI_UINT64_T, comm_, r); });
    const std::uint64_t largest = *std::max_element(bytes.begin(), bytes.end());
    std::vector<std::vector<std::byte>> result(root() ? ranks : 0);
    for (std::size_t r = 0; r < result.size(); ++r) result[r].reserve(bytes[r]);
    std::vector<int> counts(ranks), places(ranks);
    std::vector<std::byte> received;
    for (std::uint64_t at = 0; at < largest; at += piece) {
      const auto now = [&](std::uint64_t all) { return static_cast<int>(all > at ? std::min(piece, all - at) : 0); };
      int total = 0;
      for (std::size_t r = 0; r < result.size(); ++r) places[r] = std::exchange(total, total + (counts[r] = now(bytes[r])));
      received.resize(static_cast<std::size_t>(total));
      finish("MPI_Igatherv", [&](MPI_Request* r) { return MPI_Igatherv(mine.data() + std::min(at, n), now(n), MPI_BYTE, received.data(), counts.data(), places.data(), MPI_BYTE, 0, comm_, r); });
      for (std::size_t r = 0; r < result.size(); ++r) result[r].insert(result[r].end(), received.begin() + places[r], received.begin() + places[r] + counts[r]);
    }
    return result;
  }

 private:
  static constexpr std::uint64_t most = std::uint64_t{1} << 30;  // bytes in one call, which counts in int

  MPI_Comm comm_;
  int rank_ = 0, size_ = 1;
};
using communicator = basic_communicator<void>;

/// An error as it can be sent to another rank.
struct sent_error {
  enum class kind : std::uint8_t { other,
                                   io,
                                   format,
                                   integrity,
                                   mismatch };
  kind what = kind::other;
  int code = 0;
  std::string text{};
};

template <class = void>
sent_error to_send(const std::exception_ptr& met) {
  using kind = sent_error::kind;
  try {
    std::rethrow_exception(met);
  } catch (const io_error& e) {
    std::string text = e.what();
    const std::string reason = ": " + e.code().message();
    if (text.ends_with(reason)) text.resize(text.size() - reason.size());
    return {kind::io, e.code().value(), text};
  } catch (const format_error& e) {
    return {kind::format, 0, e.what()};
  } catch (const integrity_error& e) {
    return {kind::integrity, 0, e.what()};
  } catch (const mismatch_error& e) {
    return {kind::mismatch, 0, e.what()};
  } catch (const std::exception& e) {
    return {kind::other, 0, e.what()};
  } catch (...) {
    return {kind::other, 0, "an exception that is no std::exception"};
  }
}

[[noreturn]] inline void throw_sent(const sent_error& e) {
  using kind = sent_error::kind;
  switch (e.what) {
    case kind::io: throw io_error(e.text, std::error_code(e.code, std::generic_category()));
    case kind::format: throw format_error(e.text);
    case kind::integrity: throw integrity_error(e.text);
    case kind::mismatch: throw mismatch_error(e.text);
    case kind::other: break;
  }
  throw error(e.text);
}

/// The error that a rank met, with the rank's number before it, on every rank; of several that of the lowest. Nothing where all ranks
/// give null. Collective.
template <class X>
std::optional<sent_error> first_error(const basic_communicator<X>& comm, const std::exception_ptr& met) {
  const std::int64_t first = comm.least(met ? comm.rank() : INT_MAX);
  if (first == INT_MAX) return std::nullopt;
  std::vector<std::byte> bytes;
  if (first == comm.rank()) {
    const sent_error e = to_send(met);
    bytes = packer().put(e.what).put(e.code).put("rank " + std::to_string(first) + ": " + e.text).bytes();
  }
  comm.broadcast(bytes, static_cast<int>(first));
  unpacker in(bytes);
  sent_error e;
  e.what = in.get<sent_error::kind>();
  e.code = in.get<int>();
  e.text = in.text();
  return e;
}

/// Makes the error of one rank that of all, which throw it. Null where all went well. Collective.
template <class X>
void agree(const basic_communicator<X>& comm, const std::exception_ptr& met) {
  if (const auto e = first_error(comm, met)) throw_sent(*e);
}

/// What work of this rank's own throws; null where it does not.
template <class F>
std::exception_ptr error_of(F&& work) {
  try {
    work();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

/// Runs work of this rank's own, then agrees on how it went. The work calls nothing that is collective.
template <class X, class F>
void together(const basic_communicator<X>& comm, F&& work) {
  agree(comm, error_of(work));
}

}  // namespace holdfast::mpi::detail
