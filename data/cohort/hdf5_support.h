// HDF5 behind closed doors: handles that close themselves, one lock per process, errors with
// reasons.
#pragma once

#include <hdf5.h>

#include <filesystem>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace epvs::data {

/// Holds the process's HDF5 lock (the serial library is not thread-safe in every build) and keeps
/// HDF5 from printing its error stack while it lives. May be taken again by the same thread.
class Hdf5Lock {
 public:
  Hdf5Lock();
  ~Hdf5Lock();
  Hdf5Lock(const Hdf5Lock&) = delete;
  Hdf5Lock& operator=(const Hdf5Lock&) = delete;

 private:
  std::unique_lock<std::recursive_mutex> lock_;
  H5E_auto2_t handler_ = nullptr;
  void* handler_data_ = nullptr;
};

/// What HDF5's error stack says went wrong: the system's reason when there is one, else the
/// innermost description.
std::string hdf5_reason();

/// An open file, group, dataset, type, space or attribute; closed by the destructor (take the lock
/// before destroying one).
class Handle {
 public:
  using Closer = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Closer closer) : id_(id), closer_(closer) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), closer_(other.closer_) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      id_ = std::exchange(other.id_, H5I_INVALID_HID);
      closer_ = other.closer_;
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  hid_t id() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// Closes and returns HDF5's status.
  herr_t reset() {
    const hid_t id = std::exchange(id_, H5I_INVALID_HID);
    return id >= 0 ? closer_(id) : 0;
  }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Closer closer_ = nullptr;
};

/// IEEE half precision, little endian; h5py and NumPy read it as float16.
Handle float16_type();
/// Variable-length UTF-8 text.
Handle text_type();

/// Throw RunError naming `path` when an HDF5 call failed (negative result).
hid_t check_write(hid_t result, const std::filesystem::path& path, const std::string& what);
/// Throw InputError naming `path` and "damaged" when an HDF5 call failed.
hid_t check_read(hid_t result, const std::filesystem::path& path, const std::string& what);

void write_text_attribute(hid_t object, const char* name, const std::string& text,
                          const std::filesystem::path& path);
void write_integer_attribute(hid_t object, const char* name, std::int64_t value,
                             const std::filesystem::path& path);
void write_text_dataset(hid_t group, const char* name, const std::string& text,
                        const std::filesystem::path& path);

/// Throws InputError when it is missing or of another type.
std::string read_text_attribute(hid_t object, const char* name, const std::filesystem::path& path);
std::int64_t read_integer_attribute(hid_t object, const char* name,
                                    const std::filesystem::path& path);
/// All texts of a scalar or one-dimensional dataset.
std::vector<std::string> read_texts(hid_t group, const std::string& name,
                                    const std::filesystem::path& path);

}  // namespace epvs::data
