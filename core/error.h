// core/error.h: the typed errors of the whole program.
// An error names where it happened, what was expected, what was found, and what to do.
// The library never exits; cli/ maps an error's exit code to the process's.
#pragma once
#include <exception>
#include <filesystem>
#include <string>
#include <utility>

namespace polygraft {

/// The documented exit codes of the program (README, "Your own model and text").
enum class ExitCode : int {
  kDone = 0,  ///< done, or the gate passed
  kRuntime =
      1,       ///< something failed while working: a broken file, a full disk, a non-finite number
  kUsage = 2,  ///< the command line or a config is wrong, or a feature is not built yet
  kGateFailed = 3,  ///< interference beyond the margin or the budget, or a verification that failed
  kNotComparable = 4,  ///< two results cannot be compared, or there is too little evidence
};

/// Base of all errors. `what()` is the whole message, one line per part.
class Error : public std::exception {
 public:
  Error(std::string kind, ExitCode exit_code, std::string where, std::string problem);

  const char* what() const noexcept override { return message_.c_str(); }
  ExitCode exit_code() const noexcept { return exit_code_; }

 protected:
  void add_line(const std::string& label, const std::string& text);

 private:
  ExitCode exit_code_;
  std::string message_;
};

/// Adds the chained parts to a concrete error, so that `throw FormatError(...).expected(...)` keeps
/// its type.
template <class Derived>
class ErrorParts : public Error {
 public:
  using Error::Error;
  Derived expected(const std::string& text) && { return add("expected", text); }
  Derived found(const std::string& text) && { return add("found", text); }
  Derived hint(const std::string& text) && { return add("hint", text); }

 private:
  Derived add(const std::string& label, const std::string& text) {
    add_line(label, text);
    return std::move(static_cast<Derived&>(*this));
  }
};

/// A command line or a config that cannot be used. Exit 2.
class ConfigError : public ErrorParts<ConfigError> {
 public:
  ConfigError(const std::string& where, const std::string& problem)
      : ErrorParts("config error", ExitCode::kUsage, where, problem) {}
};

/// A feature that the command line names and this version does not have. Exit 2.
class NotBuiltError : public ErrorParts<NotBuiltError> {
 public:
  explicit NotBuiltError(const std::string& feature)
      : ErrorParts("not built yet", ExitCode::kUsage, feature, "") {}
};

/// A file whose content is not what its format says. Exit 1.
class FormatError : public ErrorParts<FormatError> {
 public:
  FormatError(const std::filesystem::path& file, const std::string& problem)
      : ErrorParts("format error", ExitCode::kRuntime, file.string(), problem) {}
};

/// A file that cannot be opened, read, written or renamed. Exit 1.
class IoError : public ErrorParts<IoError> {
 public:
  IoError(const std::filesystem::path& file, const std::string& problem)
      : ErrorParts("i/o error", ExitCode::kRuntime, file.string(), problem) {}
};

/// A number that is not finite, or out of the range in which it means something. Exit 1.
class NumericError : public ErrorParts<NumericError> {
 public:
  NumericError(const std::string& where, const std::string& problem)
      : ErrorParts("numeric error", ExitCode::kRuntime, where, problem) {}
};

/// Two results that must not be compared, or too little evidence. Exit 4.
class NotComparable : public ErrorParts<NotComparable> {
 public:
  NotComparable(const std::string& where, const std::string& problem)
      : ErrorParts("not comparable", ExitCode::kNotComparable, where, problem) {}
};

/// SIGINT or SIGTERM arrived and the work stopped at a point from which it resumes. Exit 128 +
/// signal.
class Interrupted : public std::exception {
 public:
  explicit Interrupted(int signal_number) : signal_number_(signal_number) {}
  const char* what() const noexcept override {
    return "interrupted; run the same command again to continue";
  }
  int signal_number() const noexcept { return signal_number_; }

 private:
  int signal_number_;
};

}  // namespace polygraft
