// expand/addition_names.h: the logical names under which Weights::for_each_added visits added rows.
#pragma once
#include <cstdint>
#include <string>

namespace polygraft::expand {

inline constexpr const char* kAddedEmbedding = "embedding.added";
inline constexpr const char* kAddedHead = "head.added";

inline std::string added_router(int64_t layer) {
  return "layers." + std::to_string(layer) + ".moe.router.added";
}
inline std::string added_gate_up(int64_t layer) {
  return "layers." + std::to_string(layer) + ".moe.gate_up.added";
}
inline std::string added_down(int64_t layer) {
  return "layers." + std::to_string(layer) + ".moe.down.added";
}

}  // namespace polygraft::expand
