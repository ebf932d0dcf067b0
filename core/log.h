// core/log.h: the one door to logging. Only log.cpp includes spdlog, whose fmt clashes with
// LibTorch's. Everything goes to stderr; results never do.
#pragma once
#include <string>
#include <string_view>

namespace polygraft {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError, kOff };

/// @throws ConfigError for a name that is none of trace, debug, info, warn, error, off.
LogLevel parse_log_level(std::string_view name);
void set_log_level(LogLevel level);
LogLevel log_level();

void log_debug(std::string_view message);
void log_info(std::string_view message);
void log_warn(std::string_view message);
void log_error(std::string_view message);

bool stderr_is_terminal();
/// A line at the bottom of the terminal that is redrawn in place, with log messages scrolling above
/// it; an empty one takes it away. Does nothing when stderr is no terminal.
void show_status_line(std::string_view line);

}  // namespace polygraft
