// expand/router_fits.h: router rows for the layers of a plan, from what their routers saw of old
// text and of new. Ranks have a layer each. Legend: D model width, n new experts.
#pragma once
#include <map>
#include <vector>

#include "expand/calibration.h"
#include "expand/config.h"

namespace polygraft::expand {

/// Each rank fits its layer's rows, and everyone gets all. @param layers one for each rank; the
/// first text is of old languages, the second of the new one.
/// @return rows_nD by layer.
std::map<int64_t, at::Tensor> fit_routers(const model::ModelConfig& base,
                                          const ExpertConfig& config, std::vector<LayerView> layers,
                                          const parallel::Team& team);

}  // namespace polygraft::expand
