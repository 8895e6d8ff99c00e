#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/scores.h"
#include "core/text.h"
#include "data/cohort/cohort_files.h"
#include "data/cohort/schema.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr hsize_t kRowsPerChunk = 64;

std::span<const unsigned char> bytes_of(const auto& values) {
  return {reinterpret_cast<const unsigned char*>(values.data()),
          values.size() * sizeof(values.front())};
}

Handle create_group(hid_t parent, const std::string& name, const fs::path& path) {
  return Handle(check_write(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                            path, name),
                H5Gclose);
}

/// A dataset (0, tail...) that can grow along its first axis.
Handle create_growing(hid_t group, const std::string& name, hid_t type,
                      const std::vector<hsize_t>& tail, hsize_t rows_per_chunk, bool filters,
                      const fs::path& path) {
  std::vector<hsize_t> size = {0};
  std::vector<hsize_t> limit = {H5S_UNLIMITED};
  std::vector<hsize_t> chunk = {rows_per_chunk};
  for (const hsize_t length : tail) {
    size.push_back(length);
    limit.push_back(length);
    chunk.push_back(length);
  }
  const int rank = static_cast<int>(size.size());
  const Handle space(H5Screate_simple(rank, size.data(), limit.data()), H5Sclose);
  const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(properties.id(), rank, chunk.data());
  if (filters) {
    if (H5Tget_size(type) > 1) H5Pset_shuffle(properties.id());
    H5Pset_deflate(properties.id(), 1);
  }
  return Handle(check_write(H5Dcreate2(group, name.c_str(), type, space.id(), H5P_DEFAULT,
                                       properties.id(), H5P_DEFAULT),
                            path, name),
                H5Dclose);
}

/// Creates the columns of `rows/`.
struct CreateColumns {
  hid_t group;
  const fs::path& path;
  std::map<std::string, Handle>& datasets;

  void add(const char* name, hid_t type, const std::vector<hsize_t>& tail) {
    datasets[name] = create_growing(group, name, type, tail, kRowsPerChunk, false, path);
  }
  void text(const char* name, const std::string&) { add(name, text_type().id(), {}); }
  void code(const char* name, int) { add(name, H5T_STD_I64LE, {}); }
  void matrix(const char* name, const Eigen::Matrix4d&) { add(name, H5T_IEEE_F64LE, {4, 4}); }
  void integers(const char* name, const std::int64_t*, hsize_t count) {
    add(name, H5T_STD_I64LE, count == 1 ? std::vector<hsize_t>{} : std::vector<hsize_t>{count});
  }
  void reals(const char* name, const double*, hsize_t count) {
    add(name, H5T_IEEE_F64LE, count == 1 ? std::vector<hsize_t>{} : std::vector<hsize_t>{count});
  }
};

/// Writes one row into the columns.
struct AppendColumns {
  hsize_t row;
  const fs::path& path;
  std::map<std::string, Handle>& datasets;

  void write(const char* name, hid_t type, const void* data) {
    const Handle& dataset = datasets.at(name);
    Handle space(check_write(H5Dget_space(dataset.id()), path, name), H5Sclose);
    std::array<hsize_t, 4> size{};
    const int rank = H5Sget_simple_extent_dims(space.id(), size.data(), nullptr);
    size[0] = row + 1;
    check_write(H5Dset_extent(dataset.id(), size.data()), path, name);
    space = Handle(check_write(H5Dget_space(dataset.id()), path, name), H5Sclose);
    std::array<hsize_t, 4> start = {row, 0, 0, 0};
    size[0] = 1;
    check_write(H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, start.data(), nullptr, size.data(),
                                    nullptr),
                path, name);
    const Handle memory(H5Screate_simple(rank, size.data(), nullptr), H5Sclose);
    check_write(H5Dwrite(dataset.id(), type, memory.id(), space.id(), H5P_DEFAULT, data), path,
                name);
  }
  void text(const char* name, const std::string& value) {
    const char* pointer = value.c_str();
    write(name, text_type().id(), &pointer);
  }
  void code(const char* name, int value) {
    const std::int64_t wide = value;
    write(name, H5T_NATIVE_INT64, &wide);
  }
  void matrix(const char* name, const Eigen::Matrix4d& value) {
    const Eigen::Matrix<double, 4, 4, Eigen::RowMajor> rows_first = value;
    write(name, H5T_NATIVE_DOUBLE, rows_first.data());
  }
  void integers(const char* name, const std::int64_t* values, hsize_t) {
    write(name, H5T_NATIVE_INT64, values);
  }
  void reals(const char* name, const double* values, hsize_t) {
    write(name, H5T_NATIVE_DOUBLE, values);
  }
};

void require_finite(const std::vector<float>& values, const char* what, const std::string& key) {
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (bad != values.end()) {
    throw core::InputError(fmt::format("{}: voxel {} of the {} is {}, not a finite number", key,
                                       bad - values.begin(), what, *bad));
  }
}

}  // namespace

CohortWriter::State::~State() {
  const Hdf5Lock lock;
  regions.clear();
  hdf5.reset();
}

CohortWriter::State::Region& CohortWriter::State::region(const std::string& name) {
  const auto found = regions.find(name);
  if (found != regions.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& entry : regions) names.push_back(entry.first);
  core::throw_no_region(file.path().string(), name, names);
}

void CohortWriter::State::check(const Region& target, const std::string& name,
                                const CohortRow& row) const {
  if (row.participant_id.empty()) {
    throw core::InputError(fmt::format("region {}: a row without participant_id", name));
  }
  const std::string key = schema::key_text(row);
  const Shape& crop = target.options.crop_voxels;
  if (row.roi.shape != crop) {
    throw core::InputError(fmt::format(
        "{} {}: the crop is {}x{}x{}, but the region's options say {}x{}x{}", key, name,
        row.roi.shape[0], row.roi.shape[1], row.roi.shape[2], crop[0], crop[1], crop[2]));
  }
  if (target.keys.count(key) != 0) {
    throw core::InputError(
        fmt::format("{} is in region {} of {} already", key, name, file.path().string()),
        "give each scan of a participant its own session_id");
  }
}

void CohortWriter::State::append(const std::string& name, const CohortRow& row,
                                 const EncodedVolumes& volumes) {
  const Hdf5Lock lock;
  Region& target = region(name);
  check(target, name, row);
  const fs::path& path = file.path();
  const Shape& crop = target.options.crop_voxels;
  const std::array<hsize_t, 4> size = {target.rows + 1, static_cast<hsize_t>(crop[2]),
                                       static_cast<hsize_t>(crop[1]),
                                       static_cast<hsize_t>(crop[0])};
  const std::array<hsize_t, 4> offset = {target.rows, 0, 0, 0};
  const auto put = [&](const char* dataset, const EncodedChunk& chunk) {
    const hid_t id = target.datasets.at(dataset).id();
    check_write(H5Dset_extent(id, size.data()), path, dataset);
    check_write(H5Dwrite_chunk(id, H5P_DEFAULT, chunk.filter_mask, offset.data(),
                               chunk.bytes.size(), chunk.bytes.data()),
                path, dataset);
  };
  put("roi", volumes.roi);
  put("hard", volumes.hard);
  put("soft", volumes.soft);
  AppendColumns columns{target.rows, path, target.datasets};
  schema::visit_columns(row, columns);
  target.keys.insert(schema::key_text(row));
  ++target.rows;
}

CohortWriter::CohortWriter(const fs::path& path, std::vector<PreprocessingOptions> options,
                           const core::Json& provenance, bool float16)
    : state_(std::make_unique<State>(path)) {
  const Hdf5Lock lock;
  state_->float16 = float16;
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_libver_bounds(access.id(), H5F_LIBVER_V18, H5F_LIBVER_LATEST);
  state_->hdf5 = Handle(check_write(H5Fcreate(state_->file.temporary().c_str(), H5F_ACC_TRUNC,
                                              H5P_DEFAULT, access.id()),
                                    path, "new file"),
                        H5Fclose);
  const hid_t root = state_->hdf5.id();
  write_text_attribute(root, "format", schema::kFormat, path);
  write_integer_attribute(root, "schema_version", schema::kVersion, path);
  write_text_dataset(root, "provenance", provenance.dump(), path);
  const Handle parent = create_group(root, "regions", path);
  const Handle float_type = float16 ? float16_type() : Handle(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  for (PreprocessingOptions& entry : options) {
    const std::string name = entry.region;
    if (name.empty() || name.find('/') != std::string::npos || state_->regions.count(name) != 0) {
      throw core::UsageError(
          fmt::format("region '{}': expected a name without '/', each region once", name));
    }
    std::vector<hsize_t> tail;
    for (const std::size_t axis : {2U, 1U, 0U}) {
      if (entry.crop_voxels[axis] < 1) {
        throw core::UsageError(fmt::format("region {}: crop_voxels must be positive", name));
      }
      tail.push_back(static_cast<hsize_t>(entry.crop_voxels[axis]));
    }
    State::Region& region = state_->regions[name];
    const Handle group = create_group(parent.id(), name, path);
    write_text_dataset(group.id(), "options", entry.to_json().dump(), path);
    region.options = std::move(entry);
    const auto volumes = [&](const char* dataset, hid_t type) {
      region.datasets[dataset] = create_growing(group.id(), dataset, type, tail, 1, true, path);
    };
    volumes("roi", float_type.id());
    volumes("hard", H5T_STD_U8LE);
    volumes("soft", float_type.id());
    const Handle rows = create_group(group.id(), "rows", path);
    CreateColumns columns{rows.id(), path, region.datasets};
    const CohortRow empty;
    schema::visit_columns(empty, columns);
  }
}

CohortWriter::~CohortWriter() = default;

void CohortWriter::append(const std::string& region, const CohortRow& row,
                          const CohortVolumes& volumes) {
  const State::Region* target = nullptr;
  {
    const Hdf5Lock lock;
    target = &state_->region(region);
    state_->check(*target, region, row);
  }
  const std::string key = schema::key_text(row) + " " + region;
  const auto voxels = static_cast<std::size_t>(row.roi.voxels());
  for (const std::size_t size : {volumes.roi.size(), volumes.hard.size(), volumes.soft.size()}) {
    if (size != voxels) {
      throw core::InputError(
          fmt::format("{}: a volume of {} voxels where the crop has {}", key, size, voxels));
    }
  }
  require_finite(volumes.roi, "smooth ROI", key);
  require_finite(volumes.soft, "soft mask", key);
  EncodedVolumes encoded;
  const auto encode = [this](const std::vector<float>& values) {
    return state_->float16 ? encode_chunk(bytes_of(to_float16(values)), 2)
                           : encode_chunk(bytes_of(values), 4);
  };
  encoded.roi = encode(volumes.roi);
  encoded.hard = encode_chunk(bytes_of(volumes.hard), 1);
  encoded.soft = encode(volumes.soft);
  state_->append(region, row, encoded);
}

void CohortWriter::finish() {
  const Hdf5Lock lock;
  const fs::path& path = state_->file.path();
  for (auto& [name, region] : state_->regions) {
    for (auto& [dataset, handle] : region.datasets) check_write(handle.reset(), path, dataset);
  }
  check_write(H5Fflush(state_->hdf5.id(), H5F_SCOPE_GLOBAL), path, "flush");
  write_integer_attribute(state_->hdf5.id(), "complete", 1, path);
  check_write(state_->hdf5.reset(), path, "close");
  state_->file.commit();
}

}  // namespace epvs::data
