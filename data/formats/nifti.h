// Scans in and out: NIfTI-1 and NIfTI-2 (nifti_clib), MGH and MGZ (ours). No ITK.
//
// Voxels stay in stored order; Geometry says where they are. Trailing singleton dimensions are
// allowed; a real fourth dimension is refused.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

/// What the file says about itself, beside the geometry that is used.
struct ScanHeader {
  Geometry geometry;        ///< sform when its code > 0, else qform, else spacing only (a warning)
  std::string format;       ///< nifti1, nifti2, mgh
  std::string stored_type;  ///< uint8, int16, float32, ...
  int sform_code = 0;
  int qform_code = 0;
  Eigen::Matrix4d sform = Eigen::Matrix4d::Identity();
  Eigen::Matrix4d qform = Eigen::Matrix4d::Identity();
  /// pixdim[0..3] (qfac, spacing), quatern_b, c, d, qoffset_x, y, z as the NIfTI header has them:
  /// the qform bit by bit. All 0 for other formats.
  std::array<double, 10> qform_fields = {};
  std::vector<std::string> warnings;  ///< sform/qform disagreement, no orientation, shear, ...
  std::vector<std::string> concerns;  ///< those of the warnings that a person should look at
  /// Why the header does not say which side is left: no orientation, or sform and qform tell
  /// different sides apart. Empty: it does. See settle_orientation.
  std::string side_doubt;
};

struct Scan {
  ScanHeader header;
  Volume<float> image;  ///< after scl_slope and scl_inter
};

/// All throw InputError naming the file: missing, not an image, truncated (bytes expected and
/// found), four dimensions, complex or RGB voxels, a singular affine.
ScanHeader read_header(const std::filesystem::path& path);
Scan read_scan(const std::filesystem::path& path);
/// Whole numbers only. Throws InputError when a voxel is fractional or not finite.
Volume<std::int32_t> read_labels(const std::filesystem::path& path);

/// Writes .nii or .nii.gz, NIfTI-1 (NIfTI-2 when an axis is longer than 32767 or the header of
/// `like` needs double precision), float32 or the type of the volume; atomic. With `like` (of a
/// NIfTI), sform/qform and their codes are copied from it bit by bit, and the shapes must be equal;
/// otherwise both are set from the volume's geometry (code 1). Throws RunError (disk full),
/// UsageError for another ending than .nii or .nii.gz.
void write_nifti(const std::filesystem::path& path, const Volume<float>& volume,
                 const ScanHeader* like = nullptr, const std::string& description = "epvs");
void write_nifti(const std::filesystem::path& path, const Volume<std::uint8_t>& volume,
                 const ScanHeader* like = nullptr, const std::string& description = "epvs");
void write_nifti(const std::filesystem::path& path, const Volume<std::int16_t>& volume,
                 const ScanHeader* like = nullptr, const std::string& description = "epvs");

/// Voxels that are NaN or infinite, for messages and checks.
struct NonFinite {
  std::int64_t count = 0;
  Shape first = {0, 0, 0};  ///< voxel of the first one
};
NonFinite count_non_finite(const Volume<float>& volume);

/// The same voxels re-ordered and flipped so that the axes are nearest to R, A, S; exact. For
/// float, double, uint8, int16 and int32.
template <class T>
Volume<T> to_canonical(const Volume<T>& volume);

}  // namespace epvs::data
