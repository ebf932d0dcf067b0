// core/json_fwd.h: JSON for headers that only declare what takes, returns or holds it: nlohmann's
// own header costs every file that sees it more than a second.
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>

namespace polygraft {

using Json = nlohmann::json;                 ///< keys sorted: the same content gives the same bytes
using OrderedJson = nlohmann::ordered_json;  ///< keys in the order they were read or written

/// A JSON value for a struct to hold: its own copy, on the heap. An empty object at first; moved
/// from, it can only be assigned to or destroyed.
class BoxedJson {
 public:
  BoxedJson();
  BoxedJson(const OrderedJson& json);  // NOLINT(google-explicit-constructor)
  BoxedJson(const BoxedJson& other);
  BoxedJson(BoxedJson&& other) noexcept;
  BoxedJson& operator=(BoxedJson other) noexcept;
  ~BoxedJson();

  const OrderedJson& operator*() const { return *json_; }
  OrderedJson& operator*() { return *json_; }
  const OrderedJson* operator->() const { return json_.get(); }

 private:
  std::unique_ptr<OrderedJson> json_;
};

}  // namespace polygraft
