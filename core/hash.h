// core/hash.h: SHA-256 (FIPS 180-4) through OpenSSL, lower-case hexadecimal.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace polygraft {

/// Incremental SHA-256.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(const void* data, size_t num_bytes);
  void update(std::string_view text) { update(text.data(), text.size()); }
  /// 64 hexadecimal digits. The object must not be used afterwards.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256(std::string_view text);
/// @throws IoError if the file cannot be read.
std::string sha256_file(const std::filesystem::path& file);

}  // namespace polygraft
