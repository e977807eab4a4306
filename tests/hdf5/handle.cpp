#include <holdfast/hdf5/handle.hpp>

#include <cstdio>

#include <fcntl.h>

#include "../support.hpp"

using holdfast::hdf5::checked;
using holdfast::hdf5::handle;
using holdfast::hdf5::quiet_errors;

namespace {

bool open(hid_t id) { return H5Iis_valid(id) > 0; }
handle some_type() { return {H5Tcopy(H5T_STD_I8LE), &H5Tclose}; }

/// What `f` prints on stderr.
template <class F>
std::string printed(const support::folder& dir, F&& f) {
  std::fflush(stderr);
  const int before = ::dup(2), to = ::open((dir / "stderr").c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  ::dup2(to, 2);
  f();
  std::fflush(stderr);
  ::dup2(before, 2);
  ::close(before);
  ::close(to);
  return support::bytes_of(dir / "stderr");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(handle_)

BOOST_AUTO_TEST_CASE(an_identifier_is_closed_with_its_handle) {
  hid_t id = -1;
  {
    const handle h = some_type();
    id = h.get();
    BOOST_TEST(open(id));
  }
  BOOST_TEST(!open(id));
}

BOOST_AUTO_TEST_CASE(a_moved_identifier_is_closed_once_by_its_new_owner) {
  handle a = some_type();
  const hid_t id = a.get();
  {
    const handle b = std::move(a);
    BOOST_TEST(b.get() == id);
  }
  BOOST_TEST(!open(id));
  handle c = some_type(), d = some_type();
  const hid_t first = c.get(), second = d.get();
  c = std::move(d);
  BOOST_TEST(c.get() == second);
  d = handle();
  BOOST_TEST(open(second));
  BOOST_TEST(first != second);
}

BOOST_AUTO_TEST_CASE(closing_reports_failure_and_happens_once) {
  const quiet_errors quiet;
  handle h = some_type();
  const hid_t id = h.get();
  BOOST_TEST(h.close());
  BOOST_TEST(!open(id));
  BOOST_TEST(h.close());
  handle stale = some_type();
  H5Tclose(stale.get());
  BOOST_TEST(!stale.close());
}

BOOST_AUTO_TEST_CASE(a_failure_throws_with_the_reason_that_libhdf5_gives) {
  const quiet_errors quiet;
  const auto text = support::message_of<holdfast::format_error>([] { checked(H5Tcopy(-1), &H5Tclose, "the type"); });
  support::require_all(text, "the type: HDF5: ", "not a datatype");
  BOOST_TEST(checked(7, "fine") == 7);
}

BOOST_AUTO_TEST_CASE(libhdf5_prints_nothing_while_errors_are_quiet_and_as_before_afterwards) {
  const support::folder dir;
  BOOST_TEST(printed(dir, [] { H5Tcopy(-1); }).find("HDF5-DIAG") != std::string::npos);
  BOOST_TEST(printed(dir, [] {
               const quiet_errors quiet;
               H5Tcopy(-1);
             }) == "");
  BOOST_TEST(printed(dir, [] { H5Tcopy(-1); }).find("HDF5-DIAG") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
