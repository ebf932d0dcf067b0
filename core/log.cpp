// core/log.cpp: spdlog behind core/log.h. No other file may include spdlog: its fmt 9 clashes with
// LibTorch's fmt 12.
#include "core/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <mutex>

#include "core/error.h"
#include "core/text.h"

namespace polygraft {
namespace {

struct NamedLevel {
  std::string_view name;
  LogLevel level;
  spdlog::level::level_enum spdlog_level;
};
constexpr std::array kLevels = {
    NamedLevel{"trace", LogLevel::kTrace, spdlog::level::trace},
    NamedLevel{"debug", LogLevel::kDebug, spdlog::level::debug},
    NamedLevel{"info", LogLevel::kInfo, spdlog::level::info},
    NamedLevel{"warn", LogLevel::kWarn, spdlog::level::warn},
    NamedLevel{"error", LogLevel::kError, spdlog::level::err},
    NamedLevel{"off", LogLevel::kOff, spdlog::level::off},
};

/// The logger and what is on the terminal's last line; one mutex keeps the two from overwriting
/// each other.
struct Console {
  Console() : logger("polygraft", std::make_shared<spdlog::sinks::stderr_color_sink_mt>()) {
    logger.set_pattern("%H:%M:%S %^%l%$: %v");
    logger.set_level(spdlog::level::info);
  }
  void erase_status() { std::fputs("\r\x1b[K", stderr); }
  void draw_status() { std::fwrite(status.data(), 1, status.size(), stderr); }

  spdlog::logger logger;
  std::mutex mutex;
  std::string status;
};

Console& console() {
  static Console& instance = *new Console;  // never destroyed: destructors of statics may still log
  return instance;
}

void log_at(LogLevel level, std::string_view message) {
  Console& out = console();
  const auto spdlog_level = kLevels[static_cast<size_t>(level)].spdlog_level;
  if (!out.logger.should_log(spdlog_level)) return;
  const std::scoped_lock lock(out.mutex);
  if (!out.status.empty()) out.erase_status();
  const std::string shown = harmless(message, /*keep_lines=*/true);
  out.logger.log(spdlog_level, spdlog::string_view_t(shown.data(), shown.size()));
  if (!out.status.empty()) out.draw_status();
}

}  // namespace

LogLevel parse_log_level(std::string_view name) {
  std::vector<std::string> names;
  for (const NamedLevel& level : kLevels) {
    if (level.name == name) return level.level;
    names.emplace_back(level.name);
  }
  throw ConfigError("--log-level", "unknown level")
      .expected(join(names, ", "))
      .found(concat("'", name, "'"));
}

void set_log_level(LogLevel level) {
  console().logger.set_level(kLevels[static_cast<size_t>(level)].spdlog_level);
}

LogLevel log_level() {
  const auto current = console().logger.level();
  for (const NamedLevel& level : kLevels) {
    if (level.spdlog_level == current) return level.level;
  }
  return LogLevel::kOff;
}

void log_debug(std::string_view message) { log_at(LogLevel::kDebug, message); }
void log_info(std::string_view message) { log_at(LogLevel::kInfo, message); }
void log_warn(std::string_view message) { log_at(LogLevel::kWarn, message); }
void log_error(std::string_view message) { log_at(LogLevel::kError, message); }

bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }

void show_status_line(std::string_view line) {
  if (!stderr_is_terminal()) return;
  Console& out = console();
  const std::scoped_lock lock(out.mutex);
  if (!out.status.empty()) out.erase_status();
  out.status = line;
  out.draw_status();
}

}  // namespace polygraft
