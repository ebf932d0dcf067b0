// eval/routing_map.h: which experts each language's text uses, layer by layer.
#pragma once
#include <string>
#include <vector>

namespace polygraft::eval {

struct RoutingMap {
  struct Layer {
    std::string name;
    std::vector<std::vector<double>>
        share_LE;  ///< of a language's (token, expert) pairs, by expert
  };
  std::string title;
  std::vector<std::string> languages;  ///< L
  std::vector<Layer> layers;
};

/// "e3 12 %, e7 9 %, e0 8 %": the experts that a language uses most.
std::string leading_experts(const std::vector<double>& share_E);

/// How few experts take half of the language's pairs.
size_t experts_for_half(const std::vector<double>& share_E);

/// A row of a layer as two hexadecimal digits an expert, from 00 (never used) to ff (the layer's
/// largest share); by square roots, so that small shares can be seen.
std::string heat_digits(const std::vector<double>& share_E, double largest);

}  // namespace polygraft::eval
