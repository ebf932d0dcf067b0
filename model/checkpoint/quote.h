// model/checkpoint/quote.h: names and values out of untrusted files, made fit for a one-line
// message.
#pragma once
#include <string>
#include <string_view>

#include "core/json_fwd.h"

namespace polygraft::model {

/// The text in single quotes, control bytes as '?', cut after 160 bytes: a hostile name cannot
/// flood or steer a terminal.
std::string in_quotes(std::string_view text);

/// The start of a JSON value as text, never throwing on invalid UTF-8.
std::string json_excerpt(const Json& value);

}  // namespace polygraft::model
