// A header as the format readers give it: where the voxels lie and how they are stored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/formats/nifti.h"

namespace epvs::data {

enum class StoredType {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kUint64,
  kInt64,
  kFloat32,
  kFloat64
};

std::size_t stored_bytes(StoredType type);
std::string stored_name(StoredType type);

struct StoredImage {
  ScanHeader header;
  std::filesystem::path data_path;  ///< differs from the header's file for .hdr/.img pairs
  std::int64_t data_offset = 0;
  StoredType type = StoredType::kFloat32;
  bool swapped = false;  ///< bytes are in the other order than this machine's
  double slope = 1;      ///< value = slope * stored + intercept
  double intercept = 0;
};

StoredImage parse_nifti(const std::filesystem::path& path);
StoredImage parse_mgh(const std::filesystem::path& path);

/// Throws InputError when the affine is not finite or has no inverse; adds a warning for shear.
void check_affine(const std::filesystem::path& path, ScanHeader& header);

}  // namespace epvs::data
