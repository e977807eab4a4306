// The main function of every unit test executable (one a folder).
#define BOOST_TEST_MODULE holdfast
#include <boost/test/unit_test.hpp>
