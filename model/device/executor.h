// model/device/executor.h: runs bodies one after another, wherever their memory lies: on a GPU
// (cuda_executor.h) or, checked and slow, on the host (host_executor.h). What is written against it
// is the same code for both.
#pragma once
#include <variant>

#include "model/device/balance.h"
#include "model/device/column_sum.h"
#include "model/device/rms_norm.h"
#include "model/device/router.h"
#include "model/device/router_backward.h"
#include "model/device/row_sort.h"
#include "model/device/slot_notes.h"
#include "model/device/slot_rows.h"
#include "model/device/swiglu.h"

namespace polygraft::device {

using AnyBody =
    std::variant<Router, RouterBackward, ColumnSum, BalanceLoss, CountSlots, ExclusiveScan,
                 PlaceSlots, MarkTokens, WriteNotes, ReadNotes, GatherRows, SumSlots, SwiGlu,
                 SwiGluBackward, RmsNorm, RmsNormBackward>;

class Executor {
 public:
  virtual ~Executor() = default;
  /// Starts `body` after all that was started before; the caller keeps its memory.
  virtual void run(const AnyBody& body) = 0;
  /// Whether LibTorch multiplies groups of rows there without the CPU's knowing their sizes.
  virtual bool has_grouped_products() const { return true; }
};

}  // namespace polygraft::device
