// eval/bits_per_byte.cpp: the measure by which two tokenizers compare. Apart from scoring.cpp, as
// it needs no model.
#include <cmath>

#include "core/error.h"
#include "eval/scoring.h"

namespace polygraft::eval {

double bits_per_byte(const std::vector<DocumentScore>& scores) {
  double nats = 0;
  int64_t num_bytes = 0;
  for (const DocumentScore& score : scores) {
    nats += score.nats;
    num_bytes += score.num_bytes;
  }
  if (num_bytes == 0) throw NotComparable("bits per byte", "there is no byte to divide by");
  return nats / M_LN2 / static_cast<double>(num_bytes);
}

}  // namespace polygraft::eval
