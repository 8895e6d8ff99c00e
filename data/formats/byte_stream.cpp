#include "data/formats/byte_stream.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "core/files.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kBlock = 1U << 20;
constexpr const char* kFetchAgain = "fetch or make the file again: it was cut off or damaged";

class GzReader {
 public:
  explicit GzReader(const fs::path& path) : path_(path) {
    core::require_exists(path, "image");
    if (fs::is_directory(path)) {
      throw core::InputError(fmt::format("{} is a folder, not an image", path.string()));
    }
    errno = 0;
    file_ = gzopen(path.c_str(), "rb");
    if (file_ == nullptr) {
      throw core::InputError(fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)),
                             "check the file's permissions");
    }
    gzbuffer(file_, 1U << 18);
  }
  ~GzReader() { gzclose_r(file_); }
  GzReader(const GzReader&) = delete;
  GzReader& operator=(const GzReader&) = delete;

  /// Reads up to `count` bytes; `expected` is the whole file's size for the message.
  std::size_t read(unsigned char* target, std::size_t count, std::int64_t expected) {
    std::size_t done = 0;
    while (done < count) {
      const auto step = static_cast<unsigned>(std::min(count - done, kBlock));
      const int got = gzread(file_, target + done, step);
      if (got > 0) {
        done += static_cast<std::size_t>(got);
        total_ += got;
      }
      if (got < static_cast<int>(step)) {
        check(expected);
        break;
      }
    }
    return done;
  }

  std::int64_t total() const { return total_; }

 private:
  void check(std::int64_t expected) {
    int code = Z_OK;
    const char* text = gzerror(file_, &code);
    if (code == Z_OK || code == Z_STREAM_END) return;
    const std::string reason = code == Z_ERRNO ? std::strerror(errno) : text;
    const std::string what = code == Z_BUF_ERROR ? "is truncated" : "is damaged";
    throw core::InputError(
        expected > 0
            ? fmt::format("{} {}: {} bytes expected, {} found ({})", path_.string(), what, expected,
                          total_, reason)
            : fmt::format("{} {} after {} bytes ({})", path_.string(), what, total_, reason),
        kFetchAgain);
  }

  fs::path path_;
  gzFile file_ = nullptr;
  std::int64_t total_ = 0;
};

}  // namespace

std::vector<unsigned char> read_start(const fs::path& path, std::size_t count) {
  GzReader reader(path);
  std::vector<unsigned char> bytes(count);
  bytes.resize(reader.read(bytes.data(), count, 0));
  return bytes;
}

std::vector<unsigned char> read_payload(const fs::path& path, std::int64_t offset,
                                        std::int64_t count) {
  const std::int64_t expected = offset + count;
  GzReader reader(path);
  std::vector<unsigned char> scratch(kBlock);
  while (reader.total() < offset) {
    const auto step = static_cast<std::size_t>(
        std::min<std::int64_t>(offset - reader.total(), static_cast<std::int64_t>(kBlock)));
    if (reader.read(scratch.data(), step, expected) < step) break;
  }
  // The size comes from the header: memory grows with what is really there.
  std::vector<unsigned char> bytes;
  if (reader.total() == offset) {
    constexpr std::int64_t kStep = 64 << 20;
    std::int64_t done = 0;
    while (done < count) {
      const auto step = static_cast<std::size_t>(std::min(kStep, count - done));
      bytes.resize(static_cast<std::size_t>(done) + step);
      const std::size_t got =
          reader.read(bytes.data() + static_cast<std::size_t>(done), step, expected);
      done += static_cast<std::int64_t>(got);
      if (got < step) break;
    }
  }
  if (reader.total() < expected) {
    throw core::InputError(fmt::format("{} is truncated: {} bytes expected, {} found",
                                       path.string(), expected, reader.total()),
                           kFetchAgain);
  }
  while (reader.read(scratch.data(), kBlock, expected) > 0) continue;
  return bytes;
}

void write_stream(const fs::path& path, const fs::path& shown, bool gzip,
                  const std::vector<Bytes>& parts) {
  errno = 0;
  gzFile file = gzopen(path.c_str(), gzip ? "wb4" : "wbT");
  const auto fail = [&shown] {
    const int error_number = errno;
    throw core::RunError(
        fmt::format("cannot write {}: {}", shown.string(),
                    error_number != 0 ? std::strerror(error_number) : "compression failed"),
        "check free space and permissions there, then run again");
  };
  if (file == nullptr) fail();
  gzbuffer(file, 1U << 18);
  for (const Bytes& part : parts) {
    const auto* data = static_cast<const unsigned char*>(part.data);
    for (std::size_t done = 0; done < part.size;) {
      const auto step = static_cast<unsigned>(std::min(part.size - done, kBlock));
      const int count = gzwrite(file, data + done, step);
      if (count <= 0) {
        const int error_number = errno;
        gzclose_w(file);
        errno = error_number;
        fail();
      }
      done += static_cast<std::size_t>(count);
    }
  }
  if (gzclose_w(file) != Z_OK) fail();
}

}  // namespace epvs::data
