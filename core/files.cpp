#include "core/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/error.h"

namespace epvs::core {

namespace fs = std::filesystem;

namespace {

std::string reason(int error_number) {
  return std::strerror(error_number);
}

[[noreturn]] void throw_write_error(const fs::path& path, int error_number) {
  throw RunError(fmt::format("cannot write {}: {}", path.string(), reason(error_number)),
                 error_number == ENOSPC || error_number == EDQUOT
                     ? "free some space on that disk or write elsewhere, then run again"
                     : "check the folder's permissions");
}

void synchronise(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_write_error(path, errno);
  const int result = ::fsync(descriptor);
  const int error_number = errno;
  ::close(descriptor);
  if (result != 0 && error_number != EINVAL) throw_write_error(path, error_number);
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  static std::atomic<unsigned> counter{0};
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw_write_error(folder, error.value());
  temporary_ = folder / fmt::format(".tmp-{}-{}-{}", ::getpid(), counter.fetch_add(1),
                                    path_.filename().string());
}

AtomicFile::~AtomicFile() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove(temporary_, ignored);
}

void AtomicFile::commit() {
  synchronise(temporary_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_write_error(path_, errno);
  committed_ = true;
}

void write_text(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  std::ofstream stream(file.temporary(), std::ios::binary);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  stream.close();
  if (!stream) throw_write_error(path, errno);
  file.commit();
}

std::string read_text(const fs::path& path) {
  require_exists(path, "file");
  if (fs::is_directory(path)) {
    throw InputError(fmt::format("{} is a folder, a file was expected", path.string()));
  }
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream && !stream.eof()) {
    throw InputError(fmt::format("cannot read {}: {}", path.string(), reason(errno)));
  }
  return std::move(text).str();
}

void refuse_existing(const fs::path& path, bool force) {
  if (!force && fs::exists(path)) {
    throw UsageError(fmt::format("{} exists already", path.string()),
                     "choose another name or give --force to overwrite it");
  }
}

void require_exists(const fs::path& path, std::string_view what) {
  if (fs::exists(path)) return;
  fs::path parent = fs::absolute(path).parent_path();
  while (!parent.empty() && !fs::exists(parent)) parent = parent.parent_path();
  throw InputError(fmt::format("{} {} does not exist", what, path.string()),
                   fmt::format("the nearest folder that exists is {}", parent.string()));
}

void require_free_space(const fs::path& path, std::uintmax_t bytes) {
  fs::path folder = fs::absolute(path).parent_path();
  while (!folder.empty() && !fs::exists(folder)) folder = folder.parent_path();
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (!error && space.available < bytes) {
    throw RunError(fmt::format("{} needs {:.1f} MiB, but only {:.1f} MiB are free", path.string(),
                               static_cast<double>(bytes) / 1048576.0,
                               static_cast<double>(space.available) / 1048576.0),
                   "free some space or write elsewhere");
  }
}

ScratchFolder::ScratchFolder(const std::string& prefix) {
  std::string name = (fs::temp_directory_path() / (prefix + "-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw RunError(fmt::format("cannot make a folder in {}: {}", fs::temp_directory_path().string(),
                               std::strerror(errno)),
                   "set TMPDIR to a folder that can be written");
  }
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path find_weights(const fs::path& file_or_run) {
  require_exists(file_or_run, "weights file or run folder");
  if (!fs::is_directory(file_or_run)) return file_or_run;
  const fs::path inside = file_or_run / "weights.safetensors";
  if (!fs::exists(inside)) {
    throw InputError(
        fmt::format("the folder {} holds no weights.safetensors", file_or_run.string()),
        "give a finished run folder of `epvs train`, or a weights file");
  }
  return inside;
}

}  // namespace epvs::core
