// core/hash.cpp: SHA-256 through OpenSSL's EVP interface, which uses the processor's SHA
// instructions.
#include "core/hash.h"

#include <openssl/evp.h>

#include <array>
#include <stdexcept>
#include <vector>

#include "core/descriptor.h"

namespace polygraft {
namespace {

void require_openssl(bool ok) {  // fails only when OpenSSL itself is broken or out of memory
  if (!ok) throw std::runtime_error("OpenSSL cannot compute SHA-256");
}

}  // namespace

struct Sha256::State {
  State() : context(EVP_MD_CTX_new()) {
    require_openssl(context != nullptr);
    require_openssl(EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1);
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  EVP_MD_CTX* context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(const void* data, size_t num_bytes) {
  require_openssl(EVP_DigestUpdate(state_->context, data, num_bytes) == 1);
}

std::string Sha256::finish() {
  std::array<unsigned char, 32> digest;
  require_openssl(EVP_DigestFinal_ex(state_->context, digest.data(), nullptr) == 1);
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

std::string sha256(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.finish();
}

std::string sha256_file(const std::filesystem::path& file) {
  // read(2), not mmap: a file that shrinks meanwhile gives another hash instead of SIGBUS.
  const Descriptor descriptor = open_regular_file(file);
  std::vector<char> buffer(size_t{1} << 20);
  Sha256 hash;
  while (const size_t size = read_some(descriptor, buffer.data(), buffer.size(), file)) {
    hash.update(buffer.data(), size);
  }
  return hash.finish();
}

}  // namespace polygraft
