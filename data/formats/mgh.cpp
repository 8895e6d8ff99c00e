// MGH and MGZ, the format of FreeSurfer: a big-endian header of 284 bytes, then the voxels.
// https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat
#include <fmt/format.h>
#include <nifti2_io.h>

#include <array>
#include <bit>
#include <map>

#include "core/error.h"
#include "data/formats/byte_stream.h"
#include "data/formats/stored_image.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kHeaderBytes = 284;

template <class T>
T big_endian(const std::vector<unsigned char>& bytes, std::size_t offset) {
  std::array<unsigned char, sizeof(T)> raw;
  for (std::size_t i = 0; i < sizeof(T); ++i) raw[i] = bytes[offset + sizeof(T) - 1 - i];
  return std::bit_cast<T>(raw);
}

/// NIfTI's code of MGH's voxel type.
int nifti_type(std::int32_t code, const fs::path& path) {
  static const std::map<std::int32_t, int> kTypes = {
      {0, DT_UINT8}, {1, DT_INT32}, {3, DT_FLOAT32}, {4, DT_INT16}, {10, DT_UINT16}};
  if (const auto known = kTypes.find(code); known != kTypes.end()) return known->second;
  throw core::InputError(fmt::format("{}: MGH voxel type {} is not supported", path.string(), code),
                         "convert it with mri_convert -odt float");
}

}  // namespace

StoredImage parse_mgh(const fs::path& path) {
  const std::vector<unsigned char> bytes = read_start(path, kHeaderBytes);
  if (bytes.size() < kHeaderBytes) {
    throw core::InputError(fmt::format("{} is truncated: an MGH header has {} bytes, {} found",
                                       path.string(), kHeaderBytes, bytes.size()));
  }
  if (const auto version = big_endian<std::int32_t>(bytes, 0); version != 1) {
    throw core::InputError(
        fmt::format("{} is not an MGH image: its version is {}, not 1", path.string(), version));
  }
  StoredImage image;
  image.data_path = path;
  image.data_offset = kHeaderBytes;
  image.swapped = std::endian::native == std::endian::little;
  Geometry& geometry = image.header.geometry;
  for (std::size_t i = 0; i < 3; ++i) {
    geometry.shape[i] = big_endian<std::int32_t>(bytes, 4 + 4 * i);
    if (geometry.shape[i] < 1) {
      throw core::InputError(
          fmt::format("{}: axis {} has {} voxels", path.string(), i + 1, geometry.shape[i]));
    }
  }
  if (const auto frames = big_endian<std::int32_t>(bytes, 16); frames != 1) {
    throw core::InputError(
        fmt::format("{} has {} frames; one volume was expected", path.string(), frames),
        "extract one with mri_convert --frame");
  }
  set_type(image, nifti_type(big_endian<std::int32_t>(bytes, 20), path));
  image.header.format = "mgh";

  // Voxel (x, y, z) -> RAS: directions * spacing * (voxel - shape / 2) + centre.
  Eigen::Vector3d spacing = Eigen::Vector3d::Ones();
  Eigen::Vector3d centre = Eigen::Vector3d::Zero();
  Eigen::Matrix3d directions;
  directions << -1, 0, 0, 0, 0, 1, 0, -1, 0;
  if (big_endian<std::int16_t>(bytes, 28) == 1) {
    for (Eigen::Index i = 0; i < 3; ++i) {
      const auto at = static_cast<std::size_t>(i);
      spacing[i] = static_cast<double>(big_endian<float>(bytes, 30 + 4 * at));
      centre[i] = static_cast<double>(big_endian<float>(bytes, 78 + 4 * at));
      for (Eigen::Index j = 0; j < 3; ++j) {
        const std::size_t element = 3 * at + static_cast<std::size_t>(j);
        directions(j, i) = static_cast<double>(big_endian<float>(bytes, 42 + 4 * element));
      }
    }
  } else {
    image.header.warnings.push_back(
        "no orientation in the header (goodRASFlag is 0): FreeSurfer's default, coronal, is used");
    image.header.concerns = image.header.warnings;
  }
  const Eigen::Matrix3d scaled = directions * spacing.asDiagonal();
  const Eigen::Vector3d half(static_cast<double>(geometry.shape[0]) / 2,
                             static_cast<double>(geometry.shape[1]) / 2,
                             static_cast<double>(geometry.shape[2]) / 2);
  geometry.affine.topLeftCorner<3, 3>() = scaled;
  geometry.affine.topRightCorner<3, 1>() = centre - scaled * half;
  check_affine(path, image.header);
  return image;
}

}  // namespace epvs::data
