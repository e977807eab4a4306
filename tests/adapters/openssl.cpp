#include <holdfast/adapters/openssl.hpp>

#include <holdfast/separate.hpp>

#include "../checkpoint/sample.hpp"
#include "../support.hpp"

using namespace holdfast;
using support::message_of;
using support::require_all;
using support::trainer;

namespace {

const seal_key key = hmac_sha256("0123456789abcdef"), other_key = hmac_sha256("0123456789abcdeg");

/// A file with tensors of one block and of several, saved with the key.
struct keyed {
  support::folder dir;
  std::string path = dir / "f.h5";
  std::vector<float> big = std::vector<float>(600'000, 1.5f);
  trainer t{3};
  keyed() {
    t.bound.bind("big", big);
    save(path, t.bound, {.step = 7, .key = key});
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(openssl)

BOOST_AUTO_TEST_CASE(it_is_hmac_sha256_cut_to_16_bytes) {
  // RFC 4231, test case 6.
  const std::string long_key(131, '\xaa');
  const std::string_view text = "Test Using Larger Than Block-Size Key - Hash Key First";
  BOOST_TEST(detail::digest_of(std::as_bytes(std::span(text)), hmac_sha256(long_key)).text() == "60e431591ee0b67f0d8a26aacbf5b77f");
  const auto stream = hmac_sha256(long_key)->start();
  for (int round = 0; round < 2; ++round) {
    for (const char& c : text) stream->update(std::as_bytes(std::span(&c, 1)));
    BOOST_TEST(stream->finish().text() == "60e431591ee0b67f0d8a26aacbf5b77f");
  }
  require_all(message_of<error>([] { hmac_sha256("short"); }), "a key of 5 bytes, expected at least 16");
}

BOOST_AUTO_TEST_CASE(what_was_saved_with_a_key_comes_back_with_it) {
  keyed k;
  const std::string before = k.t.contents();
  k.t.weight.assign(k.t.weight.size(), 0.f);
  const auto report = restore(k.path, k.t.bound, {.key = key});
  BOOST_TEST(report.verified);
  BOOST_TEST(report.step == 7);
  BOOST_TEST((k.t.contents() == before));
  checkpoint_file(k.path, trust::sealed_only, key).verify();
  const checkpoint_file file(k.path, trust::sealed_only, key);
  BOOST_TEST(file.read<std::int64_t>("progress/step") == 30);
  BOOST_TEST(file.map<float>("big")[599'999] == 1.5f);
}

BOOST_AUTO_TEST_CASE(without_the_key_with_another_or_without_a_seal_nothing_is_read) {
  keyed k;
  const std::string before = k.t.contents();
  const auto refused = [&](const restore_options& options) { return message_of<integrity_error>([&] { restore(k.path, k.t.bound, options); }); };
  require_all(refused({}), k.path, "was sealed with a key", ".key");
  require_all(refused({.verify = verify::off, .trust = trust::foreign}), k.path, "was sealed with a key");
  require_all(refused({.key = other_key}), k.path, "the seal was not made with this key");
  save(k.path, k.t.bound);
  require_all(refused({.key = key}), k.path, "expected a seal made with the key, found one made without any");
  const std::string whole = support::bytes_of(k.path);
  support::write_bytes(k.path, whole.substr(0, whole.size() - 192));
  require_all(refused({.trust = trust::foreign, .key = key}), k.path, "expected a seal made with the key, found none");
  BOOST_TEST((k.t.contents() == before));
}

BOOST_AUTO_TEST_CASE(whoever_can_write_the_file_and_seal_it_anew_is_found_out) {
  keyed k;
  const std::string whole = support::bytes_of(k.path);
  std::vector<entry> entries;
  hdf5::trailer t;
  {
    std::shared_ptr<io::file> disk = io::posix().open(k.path);
    t = *hdf5::sealed_reader::trailer_of(*disk);
    entries = hdf5::sealed_reader(disk, t, key).entries();
  }
  const auto refused = [&](std::string changed) {
    // The checksum, which needs no key, is made right.
    const auto trailer = std::as_writable_bytes(std::span(changed)).last(192);
    const digest sum = detail::digest_of(trailer.first(176));
    std::copy(sum.bytes.begin(), sum.bytes.end(), reinterpret_cast<std::uint8_t*>(trailer.data()) + 176);
    support::write_bytes(k.path, changed);
    return message_of<integrity_error>([&] { restore(k.path, k.t.bound, {.verify = verify::before, .key = key}); });
  };
  const auto flipped = [&](std::uint64_t at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    return changed;
  };
  for (const entry& e : entries)
    if (e.kind == entry_kind::tensor && e.bytes != 0) require_all(refused(flipped(e.offset + e.bytes / 2)), "/" + e.path, "not those that were saved");
  require_all(refused(flipped(200)), "the HDF5 metadata is damaged");
  require_all(refused(flipped(t.index_offset + 40)), "the index is damaged");
  require_all(refused(flipped(whole.size() - 192 + 72)), "the seal was not made with this key");  // another step
  require_all(refused(flipped(whole.size() - 192 + 130)), "the seal was not made with this key");
}

BOOST_AUTO_TEST_CASE(a_directory_has_one_key) {
  const support::folder dir;
  trainer t(3), back(4);
  checkpoint_directory runs(dir / "runs", {.keep_last = 2, .key = key});
  runs.save(1, t.bound);
  runs.save_async(2, t.bound).wait();
  BOOST_TEST(runs.latest_valid()->step == 2);
  save(runs.path_of(3), t.bound, {.step = 3});  // by somebody without the key
  const auto found = runs.restore_latest(back.bound);
  BOOST_TEST(found->step == 2);
  require_all(found->rejected.at(0).reason, runs.path_of(3), "found one made without any");
  BOOST_TEST((back.contents() == t.contents()));
  require_all(message_of<integrity_error>([&] { checkpoint_directory(dir / "runs", {.key = other_key}).restore_latest(back.bound); }), "none of 3 checkpoints is whole");
}

BOOST_AUTO_TEST_CASE(saves_with_and_without_a_key_alternate) {
  const support::folder dir;
  trainer t;
  saver again;
  for (const seal_key& k : {key, seal_key(), key, other_key}) {
    again.save(dir / "f.h5", t.bound, {.key = k});
    checkpoint_file(dir / "f.h5", trust::sealed_only, k).verify();
  }
}

BOOST_AUTO_TEST_CASE(a_rewritten_file_restores_unverified_where_it_is_trusted) {
  keyed k;
  BOOST_REQUIRE_EQUAL(std::system(("h5repack " + k.path + " " + (k.dir / "packed.h5")).c_str()), 0);
  trainer back(4);
  std::vector<float> big(600'000);
  back.bound.bind("big", big);
  const auto report = restore(k.dir / "packed.h5", back.bound, {.trust = trust::foreign});
  BOOST_TEST(!report.verified);
  BOOST_TEST((back.contents() == k.t.contents()));
  const auto has_digest = [&](const seal_key& of) {
    const hdf5::foreign_reader in(io::posix().open(k.dir / "packed.h5"), of);
    const entry& e = *in.find("big");
    auto digests = in.content_digest();
    digests.update(std::as_bytes(std::span(k.big)));
    if (of != other_key) in.verify(e, digests.finish());
    else require_all(message_of<integrity_error>([&] { in.verify(e, digests.finish()); }), "/big: its content is not what was saved");
    return in.has_digest(e);
  };
  BOOST_TEST(has_digest(key));
  BOOST_TEST(has_digest(other_key));
  BOOST_TEST(!has_digest({}));
}

BOOST_AUTO_TEST_CASE(the_golden_file_of_version_2_restores) {
  std::vector<float> weight;
  std::int64_t count = 0;
  state s;
  s.bind("model/weight", weight).bind("count", count);
  const auto report = restore(HOLDFAST_TEST_DATA_DIR "/golden-v2-keyed.h5", s, {.key = key});
  BOOST_TEST(report.step == 123456789);
  BOOST_TEST(count == 1000);
  BOOST_TEST((weight == std::vector<float>{0.5f, 1.0f, 1.5f}));
}

BOOST_AUTO_TEST_CASE(docs_reliability) {
  const support::current_folder here;
  const std::string secret = "of sixteen bytes";
#include <holdfast/adapters/openssl.hpp>
  const holdfast::seal_key sealed_with = holdfast::hmac_sha256(secret);
  holdfast::checkpoint_directory runs("runs/exp1", {.keep_last = 3, .key = sealed_with});

  trainer t{3};
  runs.save(1, t.bound);
  BOOST_TEST(runs.restore_latest(t.bound)->step == 1);
  holdfast::checkpoint_directory of_others("runs/exp1");
  BOOST_CHECK_THROW(of_others.restore_latest(t.bound), integrity_error);
}

BOOST_AUTO_TEST_SUITE_END()
