// Bytes in and out of plain and gzip-compressed files; cut-off and damaged streams are noticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace epvs::data {

/// Up to `count` bytes from the start of the decompressed file; fewer when it is shorter. Throws
/// InputError when the file is missing, unreadable or its compression is damaged there.
std::vector<unsigned char> read_start(const std::filesystem::path& path, std::size_t count);

/// `count` bytes from `offset` of the decompressed file. The rest of the file is read too, so that
/// the checksum at its end is verified. Throws InputError naming bytes expected and found.
std::vector<unsigned char> read_payload(const std::filesystem::path& path, std::int64_t offset,
                                        std::int64_t count);

/// Writes the parts one after another to `path` (already a temporary name), compressed when `gzip`.
/// Throws RunError naming `shown` with the system's reason.
struct Bytes {
  const void* data;
  std::size_t size;
};
void write_stream(const std::filesystem::path& path, const std::filesystem::path& shown, bool gzip,
                  const std::vector<Bytes>& parts);

}  // namespace epvs::data
