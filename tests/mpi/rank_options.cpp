#include <holdfast/mpi/rank_options.hpp>

#include "../support.hpp"

BOOST_AUTO_TEST_CASE(ranks_that_are_told_nothing_compare_and_write_by_themselves) {
  const holdfast::mpi::rank_options none;
  BOOST_TEST((none.replicas == holdfast::mpi::replicas::compare));
  BOOST_TEST((none.writes == holdfast::mpi::writes::positional));
  BOOST_TEST((none.hints == MPI_INFO_NULL));
}
