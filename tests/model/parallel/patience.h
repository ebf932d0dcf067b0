// tests/model/parallel/patience.h: how long ranks that are threads wait for each other.
#pragma once
#include "model/parallel/communicator.h"

namespace polygraft::testing {

constexpr parallel::Timeout kPatience(240000);  // a busy machine may let a thread wait for long

}  // namespace polygraft::testing
