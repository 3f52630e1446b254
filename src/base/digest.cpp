#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>

#include <openssl/evp.h>
#include <xxhash.h>

#include <fstream>
#include <vector>

namespace refrain {
namespace {

std::string hex_of(unsigned char const* bytes, std::size_t count) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * count);
  for (std::size_t i = 0; i < count; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

std::string hex_of(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  return hex_of(canonical.digest, sizeof canonical.digest);
}

Error sha256_failed() { return Error("OpenSSL cannot compute SHA-256", "check the OpenSSL installation"); }

}  // namespace

struct Sha256::State {
  State() : context(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) throw sha256_failed();
  }
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<std::byte const> bytes) {
  if (EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) != 1) throw sha256_failed();
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_DigestFinal_ex(state_->context.get(), digest, &size) != 1) throw sha256_failed();
  return hex_of(digest, size);
}

std::string sha256(std::string_view bytes) {
  Sha256 digest;
  digest.update(std::as_bytes(std::span(bytes)));
  return digest.hex();
}

std::string sha256_file(std::filesystem::path const& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw system_error("read the file", {}, {.file = path});
  Sha256 digest;
  std::vector<char> block(1 << 20);
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0)
    digest.update(std::as_bytes(std::span(block)).first(static_cast<std::size_t>(file.gcount())));
  if (!file.eof()) throw system_error("read the file", {}, {.file = path});
  return digest.hex();
}

struct Xxh3::State {
  State() : handle(XXH3_createState(), XXH3_freeState) {
    if (!handle) throw std::bad_alloc();
    XXH3_128bits_reset(handle.get());
  }
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> handle;
};

Xxh3::Xxh3() : state_(std::make_unique<State>()) {}
Xxh3::~Xxh3() = default;
Xxh3::Xxh3(Xxh3 const& other) : Xxh3() { XXH3_copyState(state_->handle.get(), other.state_->handle.get()); }
Xxh3::Xxh3(Xxh3&&) noexcept = default;
Xxh3& Xxh3::operator=(Xxh3 other) noexcept {
  state_.swap(other.state_);
  return *this;
}

void Xxh3::update(std::span<std::byte const> bytes) {
  XXH3_128bits_update(state_->handle.get(), bytes.data(), bytes.size());
}

std::string Xxh3::hex() const { return hex_of(XXH3_128bits_digest(state_->handle.get())); }

std::string xxh3(std::span<std::byte const> bytes) { return hex_of(XXH3_128bits(bytes.data(), bytes.size())); }

}  // namespace refrain
