#include <holdfast/io/overlapped_writer.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include <holdfast/core/error.hpp>

#include "../support.hpp"

using namespace holdfast;
using io::overlapped_writer;
using io::staging_buffer;

namespace {

/// A file in memory that takes several writes at once, of which the one at `fails_at` fails.
class slow_file final : public io::file {
 public:
  slow_file(std::uint64_t bytes, unsigned at_once) : content_(bytes), at_once_(at_once) {}

  const std::string& path() const override { return path_; }
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    most_ = std::max(most_.load(), ++now_);
    if (at_once_ > 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    --now_;
    if (offset == fails_at) throw io_error("slow: full", std::make_error_code(std::errc::no_space_on_device));
    if (offset > fails_at) ++after_;
    std::memcpy(content_.data() + offset, bytes.data(), bytes.size());
  }
  void read_at(std::uint64_t, std::span<std::byte>) const override {}
  std::uint64_t size() const override { return content_.size(); }
  std::chrono::system_clock::time_point modified() const override { return {}; }
  void preallocate(std::uint64_t) override {}
  void sync() override {}
  std::shared_ptr<const std::byte> map() const override { return nullptr; }
  unsigned writes_at_once() const override { return at_once_; }

  const std::vector<std::byte>& content() const { return content_; }
  int most() const { return most_; }
  int after() const { return after_; }
  std::uint64_t fails_at = ~std::uint64_t{0};

 private:
  std::string path_ = "slow";
  std::vector<std::byte> content_;
  unsigned at_once_;
  std::atomic<int> now_{0}, most_{0}, after_{0};
};

constexpr std::size_t piece = overlapped_writer::piece_bytes;

/// Writes a file whose pieces are filled with their numbers.
void write(slow_file& to, staging_buffer& memory) {
  overlapped_writer w(to, memory, to.size());
  for (std::uint64_t at = 0; at < to.size(); at += piece) {
    const auto p = w.piece().first(std::min<std::uint64_t>(piece, to.size() - at));
    std::fill(p.begin(), p.end(), static_cast<std::byte>(1 + at / piece));
    w.write(at, p);
  }
  w.finish();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(overlapped_writer_)

BOOST_AUTO_TEST_CASE(every_byte_is_written_whatever_the_number_of_writes_at_once) {
  staging_buffer memory;
  for (const unsigned at_once : {0u, 1u, 4u}) {
    slow_file to(9 * piece + 1234, at_once);
    write(to, memory);
    for (std::size_t i = 0; i < to.size(); i += 617)
      if (to.content()[i] != static_cast<std::byte>(1 + i / piece)) BOOST_FAIL("byte " << i << " with " << at_once << " at once");
    BOOST_TEST(to.most() <= static_cast<int>(std::max(at_once, 1u)));
    if (at_once == 4) BOOST_TEST(to.most() > 1);
  }
}

BOOST_AUTO_TEST_CASE(every_piece_has_room_whatever_the_length_of_the_file_and_none_overlap) {
  for (std::size_t half = 0; half <= 16; ++half)
    for (const unsigned at_once : {0u, 1u, 4u}) {
      staging_buffer memory;
      slow_file to(std::max<std::size_t>(half * piece / 2, 5000) + 1, at_once);
      overlapped_writer w(to, memory, to.size());
      std::vector<std::span<std::byte>> taken;
      for (std::size_t n = 0; n < std::min<std::size_t>(at_once == 0 ? 1 : 2, (to.size() + piece - 1) / piece); ++n) {
        const auto p = w.piece();
        BOOST_TEST(p.size() >= std::min(piece, to.size() - n * piece), "of " << to.size() << " bytes, piece " << n);
        BOOST_TEST(p.data() + p.size() <= memory.memory().data() + memory.memory().size());
        for (const auto& other : taken) BOOST_TEST((p.data() + p.size() <= other.data() || other.data() + other.size() <= p.data()));
        taken.push_back(p);
      }
    }
}

BOOST_AUTO_TEST_CASE(memory_that_stays_needs_no_piece) {
  staging_buffer memory, image;
  slow_file to(5 * piece, 4);
  const auto all = image.reserve(5 * piece);
  std::fill(all.begin(), all.end(), std::byte{9});
  overlapped_writer w(to, memory, to.size());
  for (std::uint64_t at = 0; at < to.size(); at += piece) w.write(at, all.subspan(at, piece));
  w.finish();
  BOOST_TEST((std::count(to.content().begin(), to.content().end(), std::byte{9}) == static_cast<std::ptrdiff_t>(to.size())));
}

BOOST_AUTO_TEST_CASE(the_first_error_is_thrown_and_ends_the_writing) {
  for (const unsigned at_once : {0u, 1u, 4u}) {
    staging_buffer memory;
    slow_file to(40 * piece, at_once);
    to.fails_at = 3 * piece;
    BOOST_CHECK_EXCEPTION(write(to, memory), io_error, [](const io_error& e) { return e.code() == std::errc::no_space_on_device; });
    BOOST_TEST(to.after() <= 8, to.after() << " pieces were written after the error, with " << at_once << " at once");
  }
}

BOOST_AUTO_TEST_CASE(after_an_error_what_waits_is_not_written) {
  for (const unsigned at_once : {1u, 4u}) {
    staging_buffer memory, image;
    slow_file to(40 * piece, at_once);
    to.fails_at = 0;
    const auto all = image.reserve(40 * piece);
    overlapped_writer w(to, memory, to.size());
    for (std::uint64_t at = 0; at < to.size(); at += piece) w.write(at, all.subspan(at, piece));
    BOOST_CHECK_THROW(w.finish(), io_error);
    BOOST_TEST(to.after() <= 8, to.after() << " pieces were written after the error, with " << at_once << " at once");
  }
}

BOOST_AUTO_TEST_CASE(without_finish_nothing_waits_forever) {
  staging_buffer memory;
  slow_file to(40 * piece, 4);
  overlapped_writer w(to, memory, to.size());
  for (std::uint64_t at = 0; at < 5; ++at) w.write(at * piece, w.piece());
}

BOOST_AUTO_TEST_SUITE_END()
