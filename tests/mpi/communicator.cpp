#include <holdfast/mpi/communicator.hpp>

#include "ranks.hpp"

using namespace holdfast;
using mpi::detail::communicator;

BOOST_AUTO_TEST_SUITE(mpi_communicator)

BOOST_AUTO_TEST_CASE(bytes_come_from_every_rank_and_go_to_all) {
  const communicator all(MPI_COMM_WORLD);
  const auto bytes_of = [](int rank) { return std::vector<std::byte>(static_cast<std::size_t>(rank * 1000), static_cast<std::byte>(rank)); };
  const auto gathered = all.gather(bytes_of(all.rank()));
  BOOST_TEST(gathered.size() == (all.root() ? static_cast<std::size_t>(all.size()) : 0u));
  for (int r = 0; r < static_cast<int>(gathered.size()); ++r) BOOST_TEST((gathered[static_cast<std::size_t>(r)] == bytes_of(r)));
  auto sent = all.rank() == 3 ? bytes_of(7) : std::vector<std::byte>(5);
  all.broadcast(sent, 3);
  BOOST_TEST((sent == bytes_of(7)));
  const auto alike = all.gather(bytes_of(2), true);
  for (const auto& of_rank : alike) BOOST_TEST((of_rank == bytes_of(2)));
  BOOST_TEST(alike.size() == gathered.size());
  for (const std::size_t expected : {std::size_t{0}, std::size_t{999}, std::size_t{1000}, std::size_t{1001}}) {
    auto bytes = all.root() ? bytes_of(1) : std::vector<std::byte>();
    all.broadcast(bytes, 0, expected);
    BOOST_TEST((bytes == bytes_of(1)));
    bytes.resize(all.root() ? 0 : 7);
    all.broadcast(bytes, 0, expected);
    BOOST_TEST(bytes.empty());
  }
  BOOST_TEST(all.least(10 - all.rank()) == 11 - all.size());
  const std::vector<std::uint8_t> many(all.least(std::vector<std::uint8_t>{1, all.rank() != 2, static_cast<std::uint8_t>(40 + all.rank())}));
  BOOST_TEST((many == std::vector<std::uint8_t>{1, 0, 40}));
  BOOST_TEST(all.any(all.rank() == 2));
  BOOST_TEST(!all.all(all.rank() != 2));
}

BOOST_AUTO_TEST_CASE(all_ranks_are_asked_several_things_at_once) {
  const communicator all(MPI_COMM_WORLD);
  const auto of = [](int n) { return holdfast::detail::digest_of(std::as_bytes(std::span(&n, 1))); };
  const auto [same, different, one_differs, yes, one_says_no] = all.ask({of(1), of(all.rank()), of(all.rank() == 2)}, {true, all.rank() != 1});
  BOOST_TEST(same);
  BOOST_TEST(!different);
  BOOST_TEST(!one_differs);
  BOOST_TEST(yes);
  BOOST_TEST(!one_says_no);
}

BOOST_AUTO_TEST_CASE(the_error_of_one_rank_is_thrown_by_all) {
  const communicator all(MPI_COMM_WORLD);
  using support::message_of;
  mpi::detail::together(all, [] {});
  const auto only = [&](int rank, auto&& work) {
    return [&all, rank, work] {
      mpi::detail::together(all, [&] {
        if (all.rank() == rank) work();
      });
    };
  };
  BOOST_TEST(message_of<integrity_error>(only(2, [] { throw integrity_error("a"); })) == "rank 2: a");
  BOOST_TEST(message_of<format_error>(only(0, [] { throw format_error("b"); })) == "rank 0: b");
  BOOST_TEST(message_of<error>(only(1, [] { throw std::runtime_error("c"); })) == "rank 1: c");
  BOOST_TEST(message_of<error>(only(1, [] { throw 5; })) == "rank 1: an exception that is no std::exception");
  BOOST_TEST(message_of<mismatch_error>(only(4, [] { throw mismatch_error("f.h5", {}); })).starts_with("rank 4: f.h5"));
  const auto full = only(3, [] { throw io_error("f.h5: cannot write", std::make_error_code(std::errc::no_space_on_device)); });
  BOOST_TEST(message_of<io_error>(full) == "rank 3: f.h5: cannot write: No space left on device");
  BOOST_TEST(message_of<error>([&] { mpi::detail::together(all, [&] { if (all.rank() > 1) throw error(std::to_string(all.rank())); }); }) == "rank 2: 2");
}

BOOST_AUTO_TEST_CASE(what_mpi_refuses_is_an_error_with_its_text) {
  mpi::detail::check(MPI_SUCCESS, "MPI_Send");
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(MPI_ERR_RANK, text, &length);
  BOOST_TEST(support::message_of<error>([] { mpi::detail::check(MPI_ERR_RANK, "MPI_Send"); }) == std::string("MPI_Send: ") + text);
}

BOOST_AUTO_TEST_CASE(a_message_that_is_too_short_is_refused) {
  mpi::detail::packer out;
  out.put(std::uint32_t{7}).put("text").put_all(std::span<const int>());
  mpi::detail::unpacker in(out.bytes());
  BOOST_TEST(in.get<std::uint32_t>() == 7u);
  BOOST_TEST(in.text() == "text");
  BOOST_TEST(in.all<int>().empty());
  BOOST_TEST(in.empty());
  support::message_of<error>([&] { (void)in.get<char>(); });
}

BOOST_AUTO_TEST_SUITE_END()
