// The succinct data structures of SDSL, which Debian has inside libseqan3-dev, have cereal functions: they bind as they are.
#include <holdfast/adapters/cereal.hpp>

#include <sdsl/bit_vectors.hpp>
#include <sdsl/suffix_arrays.hpp>
#include <sdsl/wavelet_trees.hpp>

#include <holdfast/separate.hpp>

#include "../seed.hpp"
#include "../types/round_trip.hpp"
#include "h5py.hpp"

BOOST_AUTO_TEST_SUITE(adapters_cereal_sdsl)

using round_trip::copy;
using round_trip::file;

BOOST_AUTO_TEST_CASE(vectors_of_bits_and_of_integers_of_any_width_are_one_dataset) {
  std::mt19937_64 engine = support::random_engine();
  sdsl::int_vector<0> integers(1000, 0, 13), other(3, 1, 5);
  for (auto&& x : integers) x = engine() & 0x1fff;
  sdsl::bit_vector bits(777, 0), few(2, 1), none;
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = engine() & 1;
  BOOST_TEST((copy(integers) == integers));
  BOOST_TEST((copy(integers, other) == integers));
  BOOST_TEST((copy(bits) == bits));
  BOOST_TEST((copy(bits, few) == bits));
  BOOST_TEST((copy(none, bits) == none));
  file f;
  f.save(integers);
  BOOST_TEST(true_in_h5py(f.path(), "f['x/size'][()] == 13 and f['x/size_2'][()] == 13000 and f['x/data'].shape == (204,) and f['x/data'].dtype == 'u8'"));
}

BOOST_AUTO_TEST_CASE(an_index_of_a_text_answers_as_before) {
  const std::string text = "the training state of a program that trains, the state of a program";
  sdsl::wt_huff<> tree, other_tree;
  sdsl::construct_im(tree, text, 1);
  sdsl::csa_wt<> index, other_index;
  sdsl::construct_im(index, text, 1);
  holdfast::state a, b;
  a.bind("tree", tree).bind("index", index);
  b.bind("tree", other_tree).bind("index", other_index);
  const support::folder folder;
  holdfast::save(folder / "a.h5", a);
  holdfast::restore(folder / "a.h5", b);
  BOOST_TEST_REQUIRE(other_tree.size() == text.size());
  for (std::size_t i = 0; i < text.size(); ++i) BOOST_TEST(other_tree[i] == static_cast<unsigned char>(text[i]));
  BOOST_TEST(other_tree.rank(text.size(), 't') == tree.rank(text.size(), 't'));
  BOOST_TEST(sdsl::count(other_index, std::string("training state")) == 1u);
  BOOST_TEST(sdsl::count(other_index, std::string("state")) == 2u);
  BOOST_TEST(sdsl::extract(other_index, 0, text.size() - 1) == text);
}

BOOST_AUTO_TEST_SUITE_END()
