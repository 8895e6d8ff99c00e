#include "data/formats/nifti.h"

#include <fmt/format.h>
#include <nifti2_io.h>

#include <Eigen/LU>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/text.h"
#include "data/formats/byte_stream.h"
#include "data/formats/stored_image.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// Less is rounding of the header, or a correction that somebody left in it.
constexpr double kNotableShearDegrees = 1.0;

std::vector<unsigned char> read_voxels(const StoredImage& image) {
  const std::int64_t bytes =
      image.header.geometry.voxels() * static_cast<std::int64_t>(image.voxel_bytes);
  std::vector<unsigned char> voxels = read_payload(image.data_path, image.data_offset, bytes);
  if (image.swapped)
    nifti_swap_Nbytes(image.header.geometry.voxels(), static_cast<int>(image.voxel_bytes),
                      voxels.data());
  return voxels;
}

/// Calls `use(index, value)` with each voxel as T.
template <class T, class Use>
void for_each_as(const std::vector<unsigned char>& bytes, Use&& use) {
  const std::size_t count = bytes.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    use(i, value);
  }
}

template <class Use>
void for_each_stored(const StoredImage& image, Use&& use) {
  const std::vector<unsigned char> bytes = read_voxels(image);
  switch (image.type) {
    case DT_UINT8:
      return for_each_as<std::uint8_t>(bytes, use);
    case DT_INT8:
      return for_each_as<std::int8_t>(bytes, use);
    case DT_UINT16:
      return for_each_as<std::uint16_t>(bytes, use);
    case DT_INT16:
      return for_each_as<std::int16_t>(bytes, use);
    case DT_UINT32:
      return for_each_as<std::uint32_t>(bytes, use);
    case DT_INT32:
      return for_each_as<std::int32_t>(bytes, use);
    case DT_UINT64:
      return for_each_as<std::uint64_t>(bytes, use);
    case DT_INT64:
      return for_each_as<std::int64_t>(bytes, use);
    case DT_FLOAT32:
      return for_each_as<float>(bytes, use);
    case DT_FLOAT64:
      return for_each_as<double>(bytes, use);
    default:
      EPVS_ASSERT(false);
  }
}

Shape voxel_of(std::size_t index, const Shape& shape) {
  const auto i = static_cast<std::int64_t>(index);
  return {i % shape[0], i / shape[0] % shape[1], i / (shape[0] * shape[1])};
}

}  // namespace

StoredImage parse_image(const fs::path& path) {
  const std::string name = core::lower(path.filename().string());
  if (name.ends_with(".mgh") || name.ends_with(".mgz") || name.ends_with(".mgh.gz")) {
    return parse_mgh(path);
  }
  return parse_nifti(path);
}

void set_type(StoredImage& image, int code) {
  int bytes = 0;
  int swapped_bytes = 0;
  nifti_datatype_sizes(code, &bytes, &swapped_bytes);
  image.type = code;
  image.voxel_bytes = static_cast<std::size_t>(bytes);
  image.header.stored_type = core::lower(nifti_datatype_string(code));
}

void check_affine(const fs::path& path, ScanHeader& header) {
  const Eigen::Matrix3d directions = header.geometry.affine.topLeftCorner<3, 3>();
  const Eigen::Vector3d lengths = directions.colwise().norm().transpose();
  const double volume = lengths.prod();
  const double sine = volume > 0 ? std::abs(directions.determinant()) / volume : 0;
  if (!header.geometry.affine.allFinite() || !(sine > 1e-6)) {
    throw core::InputError(
        fmt::format("{}: the affine from voxels to mm is singular or not finite", path.string()),
        "repair the header's sform or qform, for example with fslorient or mri_convert");
  }
  for (int a = 0; a < 3; ++a) {
    const int b = (a + 1) % 3;
    const double cosine = directions.col(a).dot(directions.col(b)) / (lengths[a] * lengths[b]);
    if (std::abs(cosine) > 1e-3) {
      const double degrees = std::abs(std::asin(cosine)) * 57.29577951308232;
      header.warnings.push_back(
          fmt::format("the affine has shear: axes {} and {} are {:.2f} degrees from square", a + 1,
                      b + 1, degrees));
      if (degrees >= kNotableShearDegrees) header.concerns.push_back(header.warnings.back());
    }
  }
}

ScanHeader read_header(const fs::path& path) {
  return parse_image(path).header;
}

Scan read_scan(const fs::path& path) {
  const StoredImage image = parse_image(path);
  Scan scan;
  scan.header = image.header;
  scan.image = Volume<float>(image.header.geometry);
  for_each_stored(image, [&](std::size_t i, auto stored) {
    scan.image.voxels[i] =
        static_cast<float>(image.slope * static_cast<double>(stored) + image.intercept);
  });
  return scan;
}

Volume<std::int32_t> read_labels(const fs::path& path) {
  const StoredImage image = parse_image(path);
  Volume<std::int32_t> labels(image.header.geometry);
  constexpr double kLimit = std::numeric_limits<std::int32_t>::max();
  for_each_stored(image, [&](std::size_t i, auto stored) {
    const double value = image.slope * static_cast<double>(stored) + image.intercept;
    if (!(std::abs(value) <= kLimit) || value != std::floor(value)) {
      const Shape voxel = voxel_of(i, labels.geometry.shape);
      throw core::InputError(
          fmt::format(
              "{} is not a label map: voxel ({}, {}, {}) is {}; whole numbers were expected",
              path.string(), voxel[0], voxel[1], voxel[2], value),
          "give the segmentation, not the scan or a probability map; label maps must be resampled "
          "by nearest neighbour");
    }
    labels.voxels[i] = static_cast<std::int32_t>(value);
  });
  return labels;
}

NonFinite count_non_finite(const Volume<float>& volume) {
  NonFinite result;
  for (std::size_t i = 0; i < volume.voxels.size(); ++i) {
    if (std::isfinite(volume.voxels[i])) continue;
    if (result.count == 0) result.first = voxel_of(i, volume.geometry.shape);
    ++result.count;
  }
  return result;
}

template <class T>
Volume<T> to_canonical(const Volume<T>& volume) {
  const AxisOrder order = canonical_axes(volume.geometry);
  Volume<T> result(canonical_geometry(volume.geometry));
  const Shape& stored = volume.geometry.shape;
  const std::array<std::int64_t, 3> stride = {1, stored[0], stored[0] * stored[1]};
  // Offset in the stored voxels of canonical (0, 0, 0), and the step along each canonical axis.
  std::int64_t start = 0;
  std::array<std::int64_t, 3> step{};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<std::size_t>(order.axis[i]);
    step[i] = order.flipped[i] ? -stride[axis] : stride[axis];
    if (order.flipped[i]) start += (stored[axis] - 1) * stride[axis];
  }
  std::size_t out = 0;
  for_each_voxel(result.geometry.shape, [&](std::int64_t x, std::int64_t y, std::int64_t z) {
    const std::int64_t from = start + x * step[0] + y * step[1] + z * step[2];
    result.voxels[out++] = volume.voxels[static_cast<std::size_t>(from)];
  });
  return result;
}

template Volume<float> to_canonical(const Volume<float>&);
template Volume<double> to_canonical(const Volume<double>&);
template Volume<std::uint8_t> to_canonical(const Volume<std::uint8_t>&);
template Volume<std::int16_t> to_canonical(const Volume<std::int16_t>&);
template Volume<std::int32_t> to_canonical(const Volume<std::int32_t>&);

}  // namespace epvs::data
