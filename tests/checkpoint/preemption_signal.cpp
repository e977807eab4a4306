#include <holdfast/checkpoint/preemption_signal.hpp>

#include <thread>

#include "../support.hpp"

using namespace holdfast;

namespace {
int former = 0;  // signals that reached the handler of before
}  // namespace

BOOST_AUTO_TEST_SUITE(preemption_signal_)

BOOST_AUTO_TEST_CASE(a_signal_sets_the_flag_and_ends_nothing) {
  for (const int s : {SIGTERM, SIGUSR1}) {
    const preemption_signal preempted;
    BOOST_TEST(!preempted);
    BOOST_TEST(preempted.number() == 0);
    BOOST_TEST(preempted.elapsed().count() == 0);
    std::raise(s);
    BOOST_TEST(static_cast<bool>(preempted));
    BOOST_TEST(preempted.number() == s);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const auto first = preempted.elapsed();
    BOOST_TEST((first >= std::chrono::milliseconds(2)));
    std::raise(s == SIGTERM ? SIGUSR1 : SIGTERM);
    BOOST_TEST(preempted.number() == s);  // the first one counts: the time of grace began with it
    BOOST_TEST((preempted.elapsed() >= first));
  }
}

BOOST_AUTO_TEST_CASE(a_signal_from_another_process_is_seen) {
  const preemption_signal preempted({SIGUSR2});
  const pid_t here = ::getpid();
  support::in_child([&] { return ::kill(here, SIGUSR2); });
  BOOST_TEST(preempted.number() == SIGUSR2);
}

BOOST_AUTO_TEST_CASE(the_handlers_of_before_come_back) {
  const auto before = std::signal(SIGUSR1, [](int) { ++former; });
  {
    const preemption_signal preempted;
    std::raise(SIGUSR1);
    BOOST_TEST(former == 0);
  }
  std::raise(SIGUSR1);
  BOOST_TEST(former == 1);
  std::signal(SIGUSR1, before);
  BOOST_TEST(support::in_child([] {
               { const preemption_signal preempted; }
               std::raise(SIGTERM);
               return 0;
             }) == 128 + SIGTERM);
}

BOOST_AUTO_TEST_CASE(there_is_one_at_a_time_and_impossible_signals_are_refused) {
  {
    const preemption_signal first;
    support::require_all(support::message_of<error>([] { preemption_signal second; }), "one already");
  }
  support::require_all(support::message_of<io_error>([] { preemption_signal s({SIGTERM, SIGKILL}); }), "cannot handle signal 9", "Invalid argument");
  const preemption_signal again;
  std::raise(SIGTERM);
  BOOST_TEST(again.number() == SIGTERM);
}

BOOST_AUTO_TEST_SUITE_END()
