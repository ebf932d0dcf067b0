// tests/core/stop_test.cpp: the first signal is a request, the second an end. In children: handlers
// are process-wide.
#include "core/stop.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "tests/core/child_process.h"

using namespace polygraft;
using polygraft::testing::run_child;

TEST_CASE("the first signal stops at the next point that is safe", "[core][stop]") {
  for (const int signal_number : {SIGINT, SIGTERM}) {
    CHECK(run_child([=] {
            install_stop_handlers();
            throw_if_stopped();
            if (stop_requested()) return 1;
            raise(signal_number);
            if (!stop_requested()) return 2;
            try {
              throw_if_stopped();
            } catch (const Interrupted& interrupted) {
              return 50 + interrupted.signal_number();
            }
            return 3;
          }) == 50 + signal_number);
  }
}

TEST_CASE("without handlers the first signal ends the process", "[core][stop]") {
  for (const int signal_number : {SIGINT, SIGTERM}) {
    CHECK(run_child([=] {
            install_stop_handlers();
            remove_stop_handlers();
            raise(signal_number);
            return 0;
          }) == 128 + signal_number);
  }
}

TEST_CASE("a second signal, of either kind, ends the process at once", "[core][stop]") {
  CHECK(run_child([] {
          install_stop_handlers();
          raise(SIGINT);
          raise(SIGTERM);
          return 0;
        }) == 143);
  CHECK(run_child([] {
          install_stop_handlers();
          raise(SIGINT);
          raise(SIGINT);
          return 0;
        }) == 130);
}
