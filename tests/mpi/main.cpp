/// Every rank runs the same tests. A rank whose tests fail ends all; so does a time limit, since one that fails in the middle of a test
/// leaves the others waiting.
#include <mpi.h>

#include <boost/test/unit_test.hpp>

#include <unistd.h>

int main(int count, char** arguments) {
  int level = 0;
  MPI_Init_thread(&count, &arguments, MPI_THREAD_MULTIPLE, &level);
  ::alarm(300);
  const int result = boost::unit_test::unit_test_main([] { return true; }, count, arguments);
  if (result != 0) MPI_Abort(MPI_COMM_WORLD, result);
  MPI_Finalize();
  return 0;
}
