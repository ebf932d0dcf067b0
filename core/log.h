// core/log.h: the one door to logging. Only log.cpp includes spdlog, whose fmt clashes with LibTorch's.
// Everything goes to stderr; results never do.
#pragma once
#include <string>
#include <string_view>

namespace polygraft {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError, kOff };

/// @throws ConfigError for a name that is none of trace, debug, info, warn, error, off.
LogLevel parse_log_level(std::string_view name);
void set_log_level(LogLevel level);

void log_trace(std::string_view message);
void log_debug(std::string_view message);
void log_info(std::string_view message);
void log_warn(std::string_view message);
void log_error(std::string_view message);

}  // namespace polygraft
