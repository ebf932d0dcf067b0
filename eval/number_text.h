// eval/number_text.h: how this folder's numbers and foreign names look in tables and sentences.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fwd.h"
#include "eval/statistics.h"

namespace polygraft::eval {

/// "+0.123 %", "-12.3 %": three digits below 1 %, two below 10 %, one above; no sign for what
/// rounds to zero. "n/a" when not finite.
std::string signed_percent(double fraction);
std::string signed_percent(Interval interval);  ///< "[+0.091, +0.155] %"
/// Accuracy in points: "-1.25 pp".
std::string signed_points(double fraction);
std::string signed_points(Interval interval);
/// The same without a unit: "-1.25".
std::string signed_number(double value);
std::string signed_number(Interval interval);
std::string confidence_text(double confidence);  ///< "95 %", "97.5 %"
std::string p_text(double p);                    ///< "0.031", "< 0.001"
std::string p_statement(double p);               ///< "p = 0.031", "p < 0.001"

/// Null for what is not finite.
Json json_number(double value);

/// Rows under a header with aligned columns; columns from `first_right` on are aligned to the
/// right.
std::string text_table(const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows, size_t first_right);
/// The same in GitHub's Markdown; cells are shown as text, whatever they hold.
std::string markdown_table(const std::vector<std::string>& header,
                           const std::vector<std::vector<std::string>>& rows, size_t first_right);
std::string markdown_text(std::string_view text);

/// A time in UTC. @param format strftime's; up to 31 characters of result.
std::string utc_text(const char* format, int64_t seconds);

}  // namespace polygraft::eval
