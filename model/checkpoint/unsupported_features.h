// model/checkpoint/unsupported_features.h: what config.json may ask for and this program does not
// compute, refused by name.
#pragma once
#include "model/checkpoint/families.h"
#include "model/checkpoint/json_fields.h"

namespace polygraft::model {

/// A model that would load and give other numbers than its makers' is worse than none.
/// @throws NotBuiltError for quantised weights, another head than language modelling, and an
/// activation other than SiLU.
void refuse_unsupported_features(const JsonFields& config, const Family& family);

}  // namespace polygraft::model
