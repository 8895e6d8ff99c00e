#include "data/formats/voxel_edit.h"

#include <fmt/format.h>
#include <nifti2_io.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/formats/byte_stream.h"
#include "data/formats/stored_image.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// Room for what may follow the voxels: MGH's tags.
constexpr std::size_t kMostBehind = std::size_t{1} << 24;

template <class T>
T as_stored(double value) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(value);
  } else {
    // 2^63 and 2^64 are doubles, the largest 64-bit numbers are not.
    const double low = static_cast<double>(std::numeric_limits<T>::min());
    const double high = static_cast<double>(std::numeric_limits<T>::max());
    const double rounded = std::round(value);
    if (rounded <= low) return std::numeric_limits<T>::min();
    if (rounded >= high) return std::numeric_limits<T>::max();
    return static_cast<T>(rounded);
  }
}

template <class T>
void change_as(const StoredImage& image, unsigned char* voxels,
               const std::vector<VoxelChange>& changes) {
  for (const VoxelChange& change : changes) {
    unsigned char* at = voxels + change.offset * sizeof(T);
    T stored;
    unsigned char bytes[sizeof(T)];
    std::memcpy(bytes, at, sizeof(T));
    if (image.swapped) std::reverse(bytes, bytes + sizeof(T));
    std::memcpy(&stored, bytes, sizeof(T));
    stored = as_stored<T>(static_cast<double>(stored) + change.added / image.slope);
    std::memcpy(bytes, &stored, sizeof(T));
    if (image.swapped) std::reverse(bytes, bytes + sizeof(T));
    std::memcpy(at, bytes, sizeof(T));
  }
}

void change(const StoredImage& image, unsigned char* voxels,
            const std::vector<VoxelChange>& changes) {
  switch (image.type) {
    case DT_UINT8:
      return change_as<std::uint8_t>(image, voxels, changes);
    case DT_INT8:
      return change_as<std::int8_t>(image, voxels, changes);
    case DT_UINT16:
      return change_as<std::uint16_t>(image, voxels, changes);
    case DT_INT16:
      return change_as<std::int16_t>(image, voxels, changes);
    case DT_UINT32:
      return change_as<std::uint32_t>(image, voxels, changes);
    case DT_INT32:
      return change_as<std::int32_t>(image, voxels, changes);
    case DT_UINT64:
      return change_as<std::uint64_t>(image, voxels, changes);
    case DT_INT64:
      return change_as<std::int64_t>(image, voxels, changes);
    case DT_FLOAT32:
      return change_as<float>(image, voxels, changes);
    case DT_FLOAT64:
      return change_as<double>(image, voxels, changes);
    default:
      EPVS_ASSERT(false);
  }
}

bool is_compressed(const fs::path& path) {
  const std::string name = core::lower(path.filename().string());
  return name.ends_with(".gz") || name.ends_with(".mgz");
}

}  // namespace

void copy_with_changes(const fs::path& source, const fs::path& target,
                       const std::vector<VoxelChange>& changes) {
  EPVS_ASSERT(is_compressed(source) == is_compressed(target));
  core::AtomicFile file(target);
  if (changes.empty()) {
    fs::copy_file(source, file.temporary(), fs::copy_options::overwrite_existing);
    file.commit();
    return;
  }
  const StoredImage image = parse_image(source);
  if (image.data_path != source) {
    throw core::InputError(
        fmt::format("{} is a pair of header and image, which is not rewritten", source.string()),
        "convert it to one file (.nii.gz), for example with fslchfiletype or mri_convert");
  }
  const auto begin = static_cast<std::size_t>(image.data_offset);
  const std::size_t end =
      begin + static_cast<std::size_t>(image.header.geometry.voxels()) * image.voxel_bytes;
  std::vector<unsigned char> bytes = read_start(source, end + kMostBehind);
  if (bytes.size() < end) {
    throw core::InputError(fmt::format("{} is truncated: {} bytes expected, {} found",
                                       source.string(), end, bytes.size()),
                           "fetch or make the file again: it was cut off or damaged");
  }
  change(image, bytes.data() + begin, changes);
  write_stream(file.temporary(), target, is_compressed(target), {{bytes.data(), bytes.size()}});
  file.commit();
}

}  // namespace epvs::data
