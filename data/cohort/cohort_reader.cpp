#include <fmt/format.h>

#include <cstring>

#include "core/error.h"
#include "core/hash.h"
#include "core/scores.h"
#include "core/text.h"
#include "data/cohort/cohort_files.h"
#include "data/cohort/schema.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRemake = "make the cohort again with epvs prepare or epvs simulate";

hsize_t rows_of(hid_t dataset) {
  const Handle space(H5Dget_space(dataset), H5Sclose);
  std::array<hsize_t, 4> size{};
  if (H5Sget_simple_extent_ndims(space.id()) > 4) return 0;
  H5Sget_simple_extent_dims(space.id(), size.data(), nullptr);
  return size[0];
}

/// Reads the columns of `rows/`, each once as a whole, and fills row after row.
struct ReadColumns {
  hid_t group;
  const fs::path& path;
  std::size_t rows;
  std::size_t row = 0;
  std::map<std::string, std::vector<std::string>> texts = {};
  std::map<std::string, std::vector<std::int64_t>> whole = {};
  std::map<std::string, std::vector<double>> real = {};

  template <class T>
  const T* values(std::map<std::string, std::vector<T>>& columns, const char* name, hid_t type,
                  std::size_t count) {
    auto found = columns.find(name);
    if (found == columns.end()) {
      const Handle dataset(check_read(H5Dopen2(group, name, H5P_DEFAULT), path, name), H5Dclose);
      const Handle space(H5Dget_space(dataset.id()), H5Sclose);
      const hssize_t points = H5Sget_simple_extent_npoints(space.id());
      if (static_cast<std::size_t>(points) != rows * count) {
        throw core::InputError(fmt::format("{} is damaged: column {} has {} values where {} were "
                                           "expected",
                                           path.string(), name, points, rows * count),
                               kRemake);
      }
      std::vector<T> column(rows * count);
      check_read(H5Dread(dataset.id(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, column.data()), path,
                 name);
      found = columns.emplace(name, std::move(column)).first;
    }
    return found->second.data() + row * count;
  }
  void text(const char* name, std::string& value) {
    if (texts.count(name) == 0) {
      texts[name] = read_texts(group, name, path);
      if (texts[name].size() != rows) {
        throw core::InputError(fmt::format("{} is damaged: column {} has {} values where {} were "
                                           "expected",
                                           path.string(), name, texts[name].size(), rows),
                               kRemake);
      }
    }
    value = texts[name][row];
  }
  void code(const char* name, int& value) {
    value = static_cast<int>(*values(whole, name, H5T_NATIVE_INT64, 1));
  }
  void matrix(const char* name, Eigen::Matrix4d& value) {
    using RowMajor = Eigen::Matrix<double, 4, 4, Eigen::RowMajor>;
    value = Eigen::Map<const RowMajor>(values(real, name, H5T_NATIVE_DOUBLE, 16));
  }
  void integers(const char* name, std::int64_t* target, std::size_t count) {
    std::copy_n(values(whole, name, H5T_NATIVE_INT64, count), count, target);
  }
  void reals(const char* name, double* target, std::size_t count) {
    std::copy_n(values(real, name, H5T_NATIVE_DOUBLE, count), count, target);
  }
};

/// Adds every column but the path to a text, for the fingerprint.
struct DescribeColumns {
  std::string& out;
  void text(const char* name, const std::string& value) {
    if (std::strcmp(name, "source_path") != 0) out += value + "\n";
  }
  void code(const char*, int value) { out += std::to_string(value) + "\n"; }
  void matrix(const char*, const Eigen::Matrix4d& value) { reals("", value.data(), 16); }
  void integers(const char*, const std::int64_t* values, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) out += std::to_string(values[i]) + "\n";
  }
  void reals(const char*, const double* values, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) out += core::format_number(values[i]) + "\n";
  }
};

Handle open_file(const fs::path& path) {
  core::require_exists(path, "cohort");
  if (fs::is_directory(path)) {
    throw core::InputError(fmt::format("{} is a folder, not a cohort file", path.string()));
  }
  if (H5Fis_hdf5(path.c_str()) <= 0) {
    throw core::InputError(fmt::format("{} is not a cohort: it is not an HDF5 file", path.string()),
                           "a cohort is made by epvs prepare or epvs simulate --cohort");
  }
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
#if H5_VERSION_GE(1, 10, 7)
  // Network file systems without locks are fine for reading.
  H5Pset_file_locking(access.id(), false, true);
#endif
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose);
  if (!file.valid()) {
    throw core::InputError(
        fmt::format("{} is cut short or damaged: {} bytes are there; HDF5 says: {}", path.string(),
                    fs::file_size(path), hdf5_reason()),
        kRemake);
  }
  return file;
}

void check_identity(hid_t file, const fs::path& path) {
  const bool has_format = H5Aexists(file, "format") > 0 && H5Aexists(file, "schema_version") > 0;
  if (!has_format || read_text_attribute(file, "format", path) != schema::kFormat) {
    throw core::InputError(
        fmt::format("{} is not a cohort: an HDF5 file of another kind", path.string()),
        "a cohort is made by epvs prepare or epvs simulate --cohort");
  }
  const std::int64_t version = read_integer_attribute(file, "schema_version", path);
  if (version > schema::kVersion) {
    throw core::InputError(fmt::format("{} has schema version {}, but this epvs reads up to {}",
                                       path.string(), version, schema::kVersion),
                           "use the epvs that wrote it, or a newer one");
  }
  if (H5Aexists(file, "complete") <= 0) {
    throw core::InputError(
        fmt::format("{} has no completion mark: it was not written to its end", path.string()),
        kRemake);
  }
}

herr_t collect_name(hid_t, const char* name, const H5L_info_t*, void* data) {
  static_cast<std::vector<std::string>*>(data)->emplace_back(name);
  return 0;
}

}  // namespace

CohortReader::State::~State() {
  const Hdf5Lock lock;
  regions.clear();
  hdf5.reset();
}

const CohortReader::State::Region& CohortReader::State::region(const std::string& name) const {
  const auto found = regions.find(name);
  if (found != regions.end()) return found->second;
  core::throw_no_region(path.string(), name, names);
}

CohortReader::CohortReader(const fs::path& path) : state_(std::make_unique<State>()) {
  const Hdf5Lock lock;
  state_->path = path;
  state_->hdf5 = open_file(path);
  const hid_t file = state_->hdf5.id();
  check_identity(file, path);
  const auto parse = [&path](const std::vector<std::string>& texts, const char* what) {
    core::Json document =
        texts.empty() ? core::Json() : core::Json::parse(texts.front(), nullptr, false);
    if (document.is_discarded() || texts.empty()) {
      throw core::InputError(fmt::format("{} is damaged: {} is not JSON", path.string(), what),
                             kRemake);
    }
    return document;
  };
  state_->provenance = parse(read_texts(file, "provenance", path), "provenance");
  const Handle parent(check_read(H5Gopen2(file, "regions", H5P_DEFAULT), path, "regions"),
                      H5Gclose);
  check_read(
      H5Literate(parent.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect_name, &state_->names),
      path, "regions");
  for (const std::string& name : state_->names) {
    const Handle group(check_read(H5Gopen2(parent.id(), name.c_str(), H5P_DEFAULT), path, name),
                       H5Gclose);
    State::Region& region = state_->regions[name];
    region.options =
        PreprocessingOptions::from_json(parse(read_texts(group.id(), "options", path), "options"));
    const auto open = [&](const char* dataset) {
      return Handle(check_read(H5Dopen2(group.id(), dataset, H5P_DEFAULT), path, dataset),
                    H5Dclose);
    };
    region.roi = open("roi");
    region.hard = open("hard");
    region.soft = open("soft");
    const Handle type(H5Dget_type(region.roi.id()), H5Tclose);
    region.float_bytes = H5Tget_size(type.id());
    const auto rows = static_cast<std::size_t>(rows_of(region.roi.id()));
    const Handle columns(check_read(H5Gopen2(group.id(), "rows", H5P_DEFAULT), path, "rows"),
                         H5Gclose);
    ReadColumns reader{columns.id(), path, rows};
    region.rows.resize(rows);
    for (reader.row = 0; reader.row < rows; ++reader.row) {
      CohortRow& row = region.rows[reader.row];
      schema::visit_columns(row, reader);
      row.roi.shape = region.options.crop_voxels;
    }
  }
}

CohortReader::~CohortReader() = default;
CohortReader::CohortReader(CohortReader&&) noexcept = default;

const fs::path& CohortReader::path() const {
  return state_->path;
}

std::vector<std::string> CohortReader::regions() const {
  return state_->names;
}

const PreprocessingOptions& CohortReader::options(const std::string& region) const {
  return state_->region(region).options;
}

const std::vector<CohortRow>& CohortReader::rows(const std::string& region) const {
  return state_->region(region).rows;
}

core::Json CohortReader::provenance() const {
  return state_->provenance;
}

EncodedChunk CohortReader::State::read_chunk(const Region& source, const Handle& dataset,
                                             std::size_t row) const {
  if (row >= source.rows.size()) {
    throw core::UsageError(fmt::format("{}: row {} was asked for, but region {} has {} rows",
                                       path.string(), row, source.options.region,
                                       source.rows.size()));
  }
  const Hdf5Lock lock;
  const std::array<hsize_t, 4> offset = {row, 0, 0, 0};
  hsize_t size = 0;
  check_read(H5Dget_chunk_storage_size(dataset.id(), offset.data(), &size), path, "chunk size");
  EncodedChunk chunk;
  chunk.bytes.resize(size);
  check_read(H5Dread_chunk(dataset.id(), H5P_DEFAULT, offset.data(), &chunk.filter_mask,
                           chunk.bytes.data()),
             path, "chunk");
  return chunk;
}

namespace {

std::vector<unsigned char> decode_or_throw(const EncodedChunk& chunk, std::size_t element_bytes,
                                           const Shape& crop, const CohortRow& row,
                                           const fs::path& path, const char* what) {
  const auto voxels = static_cast<std::size_t>(crop[0] * crop[1] * crop[2]);
  auto data = decode_chunk(chunk, element_bytes, voxels * element_bytes);
  if (!data) {
    throw core::InputError(fmt::format("{} is damaged: the {} of {} cannot be decompressed",
                                       path.string(), what, schema::key_text(row)),
                           kRemake);
  }
  return std::move(*data);
}

template <class T>
std::vector<T> as(const std::vector<unsigned char>& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

}  // namespace

std::vector<float> CohortReader::State::read_floats(const std::string& name,
                                                    const Handle Region::*dataset, std::size_t row,
                                                    const char* what) const {
  const Region& source = region(name);
  const EncodedChunk chunk = read_chunk(source, source.*dataset, row);
  const std::vector<unsigned char> bytes = decode_or_throw(
      chunk, source.float_bytes, source.options.crop_voxels, source.rows[row], path, what);
  if (source.float_bytes == 2) return from_float16(as<std::uint16_t>(bytes));
  return as<float>(bytes);
}

std::vector<float> CohortReader::read_roi(const std::string& region, std::size_t row) const {
  return state_->read_floats(region, &State::Region::roi, row, "smooth ROI");
}

std::vector<float> CohortReader::read_soft(const std::string& region, std::size_t row) const {
  return state_->read_floats(region, &State::Region::soft, row, "soft mask");
}

std::vector<std::uint8_t> CohortReader::read_hard(const std::string& region,
                                                  std::size_t row) const {
  const State::Region& source = state_->region(region);
  const EncodedChunk chunk = state_->read_chunk(source, source.hard, row);
  return decode_or_throw(chunk, 1, source.options.crop_voxels, source.rows[row], state_->path,
                         "hard mask");
}

std::string CohortReader::fingerprint() const {
  core::Sha256 hash;
  for (const std::string& name : state_->names) {
    const State::Region& region = state_->region(name);
    std::string text = name + "\n" + region.options.to_json().dump() + "\n";
    DescribeColumns describe{text};
    for (const CohortRow& row : region.rows) schema::visit_columns(row, describe);
    hash.update(text.data(), text.size());
  }
  return hash.finish();
}

}  // namespace epvs::data
