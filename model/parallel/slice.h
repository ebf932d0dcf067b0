// model/parallel/slice.h: things shared out evenly: part i of n gets a run of neighbours, and no
// two parts differ by more than one.
#pragma once
#include <cstdint>

namespace polygraft::parallel {

struct Slice {
  int64_t first = 0, count = 0;
  int64_t end() const { return first + count; }
};

inline Slice slice_of(int64_t count, int64_t part, int64_t num_parts) {
  const int64_t first = count * part / num_parts;
  return {first, count * (part + 1) / num_parts - first};
}

}  // namespace polygraft::parallel
