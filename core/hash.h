// SHA-256 of files and bytes (OpenSSL), as lower-case hexadecimal text.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace epvs::core {

/// Incremental SHA-256.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(const void* data, std::size_t bytes);
  /// 64 hexadecimal digits; the object cannot be used afterwards.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_text(std::string_view text);
/// Throws InputError when the file cannot be read.
std::string sha256_file(const std::filesystem::path& path);

}  // namespace epvs::core
