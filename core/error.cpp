// core/error.cpp: how an error's message is laid out: "kind: where: problem", then one indented
// line per part.
#include "core/error.h"

#include <array>

namespace polygraft {

Error::Error(std::string kind, ExitCode exit_code, std::string where, std::string problem)
    : exit_code_(exit_code), message_(std::move(kind)) {
  const std::array parts = {std::move(where), std::move(problem)};
  for (const std::string& part : parts) {
    if (!part.empty()) message_.append(": ").append(part);
  }
}

void Error::add_line(const std::string& label, const std::string& text) {
  constexpr size_t kLabelWidth = sizeof("expected:");  // the longest label, a colon and one space
  message_ += "\n  " + label + ":";
  message_.append(kLabelWidth > label.size() + 1 ? kLabelWidth - label.size() - 1 : 1, ' ');
  message_ += text;
}

}  // namespace polygraft
