#include "data/cohort/hdf5_support.h"

#include <fmt/format.h>

#include <cstring>

#include "core/error.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

std::recursive_mutex& process_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

struct Reason {
  std::string innermost;
  std::string system;
};

herr_t collect_reason(unsigned /*depth*/, const H5E_error2_t* error, void* data) {
  auto& reason = *static_cast<Reason*>(data);
  if (error->desc == nullptr) return 0;
  const std::string text = error->desc;
  if (reason.innermost.empty()) reason.innermost = text;
  const std::string key = "error message = '";
  const std::size_t start = text.find(key);
  if (start != std::string::npos && reason.system.empty()) {
    const std::size_t from = start + key.size();
    reason.system = text.substr(from, text.find('\'', from) - from);
  }
  return 0;
}

}  // namespace

Hdf5Lock::Hdf5Lock() : lock_(process_mutex()) {
  // Every file is closed by its handle. What HDF5 would do at exit is not needed, and crashes there
  // (1.10) after a file that could not be flushed on a full disk.
  static const herr_t no_exit_handler = H5dont_atexit();
  static_cast<void>(no_exit_handler);
  H5Eget_auto2(H5E_DEFAULT, &handler_, &handler_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Hdf5Lock::~Hdf5Lock() {
  H5Eset_auto2(H5E_DEFAULT, handler_, handler_data_);
}

std::string hdf5_reason() {
  Reason reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect_reason, &reason);
  if (!reason.system.empty()) return reason.system;
  return reason.innermost.empty() ? "unknown HDF5 error" : reason.innermost;
}

Handle float16_type() {
  Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  // 1 sign bit at 15, 5 exponent bits at 10, 10 mantissa bits at 0; the bias before the size
  // shrinks.
  H5Tset_fields(type.id(), 15, 10, 5, 0, 10);
  H5Tset_ebias(type.id(), 15);
  H5Tset_size(type.id(), 2);
  return type;
}

Handle text_type() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.id(), H5T_VARIABLE);
  H5Tset_cset(type.id(), H5T_CSET_UTF8);
  return type;
}

hid_t check_write(hid_t result, const fs::path& path, const std::string& what) {
  if (result >= 0) return result;
  throw core::RunError(fmt::format("cannot write {} ({}): {}", path.string(), what, hdf5_reason()),
                       "check free space and permissions there, then run again");
}

hid_t check_read(hid_t result, const fs::path& path, const std::string& what) {
  if (result >= 0) return result;
  throw core::InputError(
      fmt::format("{} is damaged: cannot read {} ({})", path.string(), what, hdf5_reason()),
      "make the cohort again with epvs prepare or epvs simulate");
}

void write_text_attribute(hid_t object, const char* name, const std::string& text,
                          const fs::path& path) {
  const Handle type = text_type();
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(
      check_write(H5Acreate2(object, name, type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT), path,
                  name),
      H5Aclose);
  const char* pointer = text.c_str();
  check_write(H5Awrite(attribute.id(), type.id(), &pointer), path, name);
}

void write_integer_attribute(hid_t object, const char* name, std::int64_t value,
                             const fs::path& path) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(
      check_write(H5Acreate2(object, name, H5T_STD_I64LE, space.id(), H5P_DEFAULT, H5P_DEFAULT),
                  path, name),
      H5Aclose);
  check_write(H5Awrite(attribute.id(), H5T_NATIVE_INT64, &value), path, name);
}

void write_text_dataset(hid_t group, const char* name, const std::string& text,
                        const fs::path& path) {
  const Handle type = text_type();
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle dataset(check_write(H5Dcreate2(group, name, type.id(), space.id(), H5P_DEFAULT,
                                              H5P_DEFAULT, H5P_DEFAULT),
                                   path, name),
                       H5Dclose);
  const char* pointer = text.c_str();
  check_write(H5Dwrite(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, &pointer), path,
              name);
}

std::string read_text_attribute(hid_t object, const char* name, const fs::path& path) {
  const Handle attribute(check_read(H5Aopen(object, name, H5P_DEFAULT), path, name), H5Aclose);
  const Handle stored(H5Aget_type(attribute.id()), H5Tclose);
  if (H5Tis_variable_str(stored.id()) <= 0) check_read(-1, path, std::string(name) + ": not text");
  const Handle type = text_type();
  char* pointer = nullptr;
  check_read(H5Aread(attribute.id(), type.id(), &pointer), path, name);
  std::string text = pointer == nullptr ? "" : pointer;
  H5free_memory(pointer);
  return text;
}

std::int64_t read_integer_attribute(hid_t object, const char* name, const fs::path& path) {
  const Handle attribute(check_read(H5Aopen(object, name, H5P_DEFAULT), path, name), H5Aclose);
  std::int64_t value = 0;
  check_read(H5Aread(attribute.id(), H5T_NATIVE_INT64, &value), path, name);
  return value;
}

std::vector<std::string> read_texts(hid_t group, const std::string& name, const fs::path& path) {
  const Handle dataset(check_read(H5Dopen2(group, name.c_str(), H5P_DEFAULT), path, name),
                       H5Dclose);
  const Handle stored(H5Dget_type(dataset.id()), H5Tclose);
  if (H5Tis_variable_str(stored.id()) <= 0) check_read(-1, path, name + ": not text");
  const Handle space(H5Dget_space(dataset.id()), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space.id());
  if (count <= 0) return {};
  const Handle type = text_type();
  std::vector<char*> pointers(static_cast<std::size_t>(count), nullptr);
  check_read(H5Dread(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()), path,
             name);
  std::vector<std::string> texts;
  for (char* pointer : pointers) {
    texts.emplace_back(pointer == nullptr ? "" : pointer);
    H5free_memory(pointer);
  }
  return texts;
}

}  // namespace epvs::data
