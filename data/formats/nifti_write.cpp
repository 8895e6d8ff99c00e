#include <fmt/format.h>
#include <nifti2_io.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/formats/byte_stream.h"
#include "data/formats/nifti.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kLongestNifti1Axis = 32767;

/// The orientation fields that go into the header.
struct Orientation {
  int sform_code = 1;
  int qform_code = 1;
  Eigen::Matrix4d sform;
  std::array<double, 10> qform{};  ///< pixdim[0..3], quatern b c d, qoffset x y z
};

nifti_dmat44 matrix(const Eigen::Matrix4d& m) {
  nifti_dmat44 result;
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 4; ++column) result.m[row][column] = m(row, column);
  }
  return result;
}

/// Both forms from one affine. The qform cannot hold shear: then its code is 0.
Orientation from_geometry(const Geometry& geometry) {
  Orientation orientation;
  orientation.sform = geometry.affine;
  auto& q = orientation.qform;
  nifti_dmat44_to_quatern(matrix(geometry.affine), &q[4], &q[5], &q[6], &q[7], &q[8], &q[9], &q[1],
                          &q[2], &q[3], &q[0]);
  const nifti_dmat44 again =
      nifti_quatern_to_dmat44(q[4], q[5], q[6], q[7], q[8], q[9], q[1], q[2], q[3], q[0]);
  Geometry rebuilt = geometry;
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 4; ++column) rebuilt.affine(row, column) = again.m[row][column];
  }
  orientation.qform_code = geometry.same_as(rebuilt, 1e-2) ? 1 : 0;
  return orientation;
}

Orientation orientation_for(const Geometry& geometry, const ScanHeader* like,
                            const fs::path& path) {
  if (like == nullptr) return from_geometry(geometry);
  if (like->geometry.shape != geometry.shape) {
    const Shape& a = geometry.shape;
    const Shape& b = like->geometry.shape;
    throw core::InputError(
        fmt::format("{}: a volume of {}x{}x{} voxels cannot have the header of a scan of {}x{}x{}",
                    path.string(), a[0], a[1], a[2], b[0], b[1], b[2]));
  }
  if (!like->format.starts_with("nifti")) return from_geometry(like->geometry);
  Orientation orientation;
  orientation.sform_code = like->sform_code;
  orientation.qform_code = like->qform_code;
  orientation.sform = like->sform;
  orientation.qform = like->qform_fields;
  return orientation;
}

/// A header of NIfTI-2 may hold orientations that NIfTI-1's float32 would round.
bool needs_double(const Orientation& orientation) {
  const auto rounds = [](double value) {
    return std::isfinite(value) && static_cast<double>(static_cast<float>(value)) != value;
  };
  const double* sform = orientation.sform.data();
  return std::any_of(orientation.qform.begin(), orientation.qform.end(), rounds) ||
         (orientation.sform_code > 0 && std::any_of(sform, sform + 16, rounds));
}

template <class Header>
void fill(Header& header, const Shape& shape, const Orientation& orientation,
          const std::string& description) {
  using Dim = std::remove_reference_t<decltype(header.dim[0])>;
  using Real = std::remove_reference_t<decltype(header.pixdim[0])>;
  header.sizeof_hdr = sizeof(Header);
  header.dim[0] = 3;
  for (std::size_t i = 0; i < 7; ++i) {
    header.dim[i + 1] = i < 3 ? static_cast<Dim>(shape[i]) : Dim{1};
    header.pixdim[i + 1] = 1;
  }
  const auto& q = orientation.qform;
  for (std::size_t i = 0; i < 4; ++i) header.pixdim[i] = static_cast<Real>(q[i]);
  header.quatern_b = static_cast<Real>(q[4]);
  header.quatern_c = static_cast<Real>(q[5]);
  header.quatern_d = static_cast<Real>(q[6]);
  header.qoffset_x = static_cast<Real>(q[7]);
  header.qoffset_y = static_cast<Real>(q[8]);
  header.qoffset_z = static_cast<Real>(q[9]);
  using Code = std::remove_reference_t<decltype(header.sform_code)>;
  header.sform_code = static_cast<Code>(orientation.sform_code);
  header.qform_code = static_cast<Code>(orientation.qform_code);
  // With code 0 the reader keeps no sform: nothing is to be written either.
  for (int column = 0; column < 4 && orientation.sform_code > 0; ++column) {
    header.srow_x[column] = static_cast<Real>(orientation.sform(0, column));
    header.srow_y[column] = static_cast<Real>(orientation.sform(1, column));
    header.srow_z[column] = static_cast<Real>(orientation.sform(2, column));
  }
  header.scl_slope = 1;
  header.xyzt_units = NIFTI_UNITS_MM;
  const std::size_t length = std::min(description.size(), sizeof(header.descrip) - 1);
  std::memcpy(header.descrip, description.data(), length);
}

template <class T>
void write(const fs::path& path, const Volume<T>& volume, const ScanHeader* like,
           const std::string& description, int datatype) {
  const std::string name = core::lower(path.filename().string());
  const bool gzip = name.ends_with(".nii.gz");
  if (!gzip && !name.ends_with(".nii")) {
    throw core::UsageError(fmt::format("{}: images are written as .nii or .nii.gz", path.string()),
                           "choose a name with one of these endings");
  }
  EPVS_ASSERT(static_cast<std::int64_t>(volume.voxels.size()) == volume.geometry.voxels());
  const Orientation orientation = orientation_for(volume.geometry, like, path);
  const Shape& shape = volume.geometry.shape;
  const Bytes voxels = {volume.voxels.data(), volume.voxels.size() * sizeof(T)};
  static constexpr char kNoExtensions[4] = {0, 0, 0, 0};
  core::AtomicFile file(path);
  const bool is_long = *std::max_element(shape.begin(), shape.end()) > kLongestNifti1Axis;
  const bool copies_double =
      like != nullptr && like->format.starts_with("nifti") && needs_double(orientation);
  if (!is_long && !copies_double) {
    nifti_1_header header{};
    fill(header, shape, orientation, description);
    header.datatype = static_cast<short>(datatype);
    header.bitpix = static_cast<short>(8 * sizeof(T));
    header.vox_offset = 352;
    header.regular = 'r';
    std::memcpy(header.magic, "n+1", 4);
    write_stream(file.temporary(), path, gzip,
                 {{&header, sizeof(header)}, {kNoExtensions, 4}, voxels});
  } else {
    nifti_2_header header{};
    fill(header, shape, orientation, description);
    header.datatype = static_cast<std::int16_t>(datatype);
    header.bitpix = static_cast<std::int16_t>(8 * sizeof(T));
    header.vox_offset = 544;
    std::memcpy(header.magic, "n+2\0\r\n\032\n", 8);
    write_stream(file.temporary(), path, gzip,
                 {{&header, sizeof(header)}, {kNoExtensions, 4}, voxels});
  }
  file.commit();
}

}  // namespace

void write_nifti(const fs::path& path, const Volume<float>& volume, const ScanHeader* like,
                 const std::string& description) {
  write(path, volume, like, description, DT_FLOAT32);
}

void write_nifti(const fs::path& path, const Volume<std::uint8_t>& volume, const ScanHeader* like,
                 const std::string& description) {
  write(path, volume, like, description, DT_UINT8);
}

void write_nifti(const fs::path& path, const Volume<std::int16_t>& volume, const ScanHeader* like,
                 const std::string& description) {
  write(path, volume, like, description, DT_INT16);
}

}  // namespace epvs::data
