// Files that are complete or absent: everything is written to a temporary name and renamed.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace epvs::core {

/// An output file under construction. Write to `temporary()` by any library, then `commit()`:
/// the file is synchronised to disk and renamed to `path()`. Without a commit the temporary file is
/// removed by the destructor, and an older file at `path()` stays as it was.
class AtomicFile {
 public:
  /// Creates missing parent folders. The temporary name is unique to this process.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Same folder, hidden name, same ending as `path()` (libraries choose formats by ending).
  const std::filesystem::path& temporary() const { return temporary_; }
  /// Throws RunError when the disk is full or the folder cannot be written.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  bool committed_ = false;
};

/// A new empty folder for passing work, in TMPDIR; removed with everything in it by the destructor.
class ScratchFolder {
 public:
  /// Throws RunError when none can be made. `prefix` begins its name: "epvs-elastix".
  explicit ScratchFolder(const std::string& prefix);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Writes `text` atomically. Throws RunError with the system's reason (for example a full disk).
void write_text(const std::filesystem::path& path, std::string_view text);

/// The whole file. Throws InputError when it is missing or cannot be read.
std::string read_text(const std::filesystem::path& path);

/// Throws UsageError naming --force when `path` exists and `force` is false.
void refuse_existing(const std::filesystem::path& path, bool force);

/// Throws InputError with the nearest existing parent folder when `path` does not exist.
void require_exists(const std::filesystem::path& path, std::string_view what);

/// Throws RunError when fewer than `bytes` are free where `path` will be written.
void require_free_space(const std::filesystem::path& path, std::uintmax_t bytes);

/// The weights file that an argument names: the file itself, or weights.safetensors in a run folder
/// of `epvs train`. Throws InputError when there is none.
std::filesystem::path find_weights(const std::filesystem::path& file_or_run);

}  // namespace epvs::core
