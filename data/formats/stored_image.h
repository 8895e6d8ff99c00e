// A header as the format readers give it: where the voxels lie and how they are stored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/formats/nifti.h"

namespace epvs::data {

struct StoredImage {
  ScanHeader header;
  std::filesystem::path data_path;  ///< differs from the header's file for .hdr/.img pairs
  std::int64_t data_offset = 0;
  int type = 16;  ///< NIfTI's code of the voxel type, also for other formats
  std::size_t voxel_bytes = 4;
  bool swapped = false;  ///< bytes are in the other order than this machine's
  double slope = 1;      ///< value = slope * stored + intercept
  double intercept = 0;
};

StoredImage parse_nifti(const std::filesystem::path& path);
StoredImage parse_mgh(const std::filesystem::path& path);
/// By the ending of the name.
StoredImage parse_image(const std::filesystem::path& path);

/// Sets the type by NIfTI's code, with the size and name that go with it.
void set_type(StoredImage& image, int code);

/// Throws InputError when the affine is not finite or has no inverse; adds a warning for shear.
void check_affine(const std::filesystem::path& path, ScanHeader& header);

}  // namespace epvs::data
