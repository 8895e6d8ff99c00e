// NIfTI-1 and NIfTI-2 headers by nifti_clib. The voxels are read in nifti.cpp, for nifti_clib does
// not notice every file that was cut off.
#include <fmt/format.h>
#include <nifti2_io.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "core/text.h"
#include "data/formats/byte_stream.h"
#include "data/formats/orientation.h"
#include "data/formats/stored_image.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// Corners further apart than this make sform and qform disagree.
constexpr double kDisagreementMm = 0.1;
/// And this much is more than a person would overlook.
constexpr double kNotableMm = 1.0;

Eigen::Matrix4d matrix(const nifti_dmat44& m) {
  Eigen::Matrix4d result;
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 4; ++column) result(row, column) = m.m[row][column];
  }
  return result;
}

/// Throws InputError for voxels that are no numbers.
void check_type(int code, const fs::path& path) {
  const std::string name = nifti_datatype_string(code);
  switch (code) {
    case DT_UINT8:
    case DT_INT8:
    case DT_UINT16:
    case DT_INT16:
    case DT_UINT32:
    case DT_INT32:
    case DT_UINT64:
    case DT_INT64:
    case DT_FLOAT32:
    case DT_FLOAT64:
      return;
    case DT_RGB24:
    case DT_RGBA32:
      throw core::InputError(
          fmt::format("{}: voxels are colours ({}); one number per voxel was expected",
                      path.string(), name),
          "convert it to a scalar image, or choose the scan it was made from");
    case DT_COMPLEX64:
    case DT_COMPLEX128:
    case DT_COMPLEX256:
      throw core::InputError(
          fmt::format("{}: voxels are complex numbers ({}); magnitudes were expected",
                      path.string(), name),
          "export the magnitude image");
    default:
      throw core::InputError(
          fmt::format("{}: voxel type {} ({}) is not supported", path.string(), code, name),
          "convert it to float32");
  }
}

/// Header and image file of a pair are told apart by their endings.
fs::path exchange_ending(const fs::path& path, const std::string& from, const std::string& to) {
  const std::string text = path.string();
  for (const std::string& gz : {std::string(), std::string(".gz")}) {
    if (text.ends_with(from + gz)) {
      const std::string stem = text.substr(0, text.size() - from.size() - gz.size());
      for (const std::string& other : {gz, std::string(), std::string(".gz")}) {
        fs::path found = fmt::format("{}{}{}", stem, to, other);
        if (fs::exists(found)) return found;
      }
    }
  }
  return path;
}

/// What both versions of the header share, widened.
struct Fields {
  std::string magic;
  std::array<std::int64_t, 8> dim{};
  int datatype = 0;
  std::array<double, 10> qform{};
  double slope = 0;
  double intercept = 0;
  double offset = 0;
  int units = 0;
};

template <class Header>
Fields fields_of(const Header& header) {
  Fields fields;
  fields.magic = std::string(header.magic, strnlen(header.magic, 4));
  for (std::size_t i = 0; i < 8; ++i) fields.dim[i] = header.dim[i];
  fields.datatype = header.datatype;
  for (std::size_t i = 0; i < 4; ++i) fields.qform[i] = header.pixdim[i];
  fields.qform[4] = header.quatern_b;
  fields.qform[5] = header.quatern_c;
  fields.qform[6] = header.quatern_d;
  fields.qform[7] = header.qoffset_x;
  fields.qform[8] = header.qoffset_y;
  fields.qform[9] = header.qoffset_z;
  fields.slope = header.scl_slope;
  fields.intercept = header.scl_inter;
  fields.offset = static_cast<double>(header.vox_offset);
  fields.units = static_cast<int>(header.xyzt_units) & 0x07;
  return fields;
}

using Nim = std::unique_ptr<nifti_image, void (*)(nifti_image*)>;

Shape shape_of(const Fields& fields, const fs::path& path) {
  const std::int64_t rank = fields.dim[0];
  if (rank < 1 || rank > 7) {
    throw core::InputError(
        fmt::format("{} is damaged: its header names {} dimensions", path.string(), rank));
  }
  Shape shape = {1, 1, 1};
  for (std::size_t i = 0; i < static_cast<std::size_t>(rank); ++i) {
    const std::int64_t length = fields.dim[i + 1];
    if (length < 1) {
      throw core::InputError(
          fmt::format("{}: axis {} has {} voxels", path.string(), i + 1, length));
    }
    if (i < 3) {
      shape[i] = length;
    } else if (length > 1) {
      throw core::InputError(
          fmt::format("{} has {} dimensions: axis {} has {} entries; one 3-D volume was expected",
                      path.string(), rank, i + 1, length),
          "extract one volume, for example with fslroi or mrconvert");
    }
  }
  // A product beyond 2^40 voxels is damage, and must not overflow.
  if (static_cast<double>(shape[0]) * static_cast<double>(shape[1]) *
          static_cast<double>(shape[2]) >
      1e12) {
    throw core::InputError(
        fmt::format("{} is damaged: {}x{}x{} voxels", path.string(), shape[0], shape[1], shape[2]));
  }
  return shape;
}

/// Both forms are valid and differ: by how much, and whether they name another side left.
void compare_forms(ScanHeader& header) {
  Geometry other = header.geometry;
  other.affine = header.qform;
  const double apart = largest_corner_distance_mm(header.geometry, header.qform);
  if (apart <= kDisagreementMm) return;
  std::string text = fmt::format(
      "sform (code {}) and qform (code {}) disagree by up to {:.1f} mm: the sform is used",
      header.sform_code, header.qform_code, apart);
  const AxisOrder ours = canonical_axes(header.geometry);
  const AxisOrder theirs = canonical_axes(other);
  if (ours.axis[0] != theirs.axis[0] || ours.flipped[0] != theirs.flipped[0]) {
    text = fmt::format(
        "left and right are ambiguous: the stored axes run to {} by the sform (code {}) and to {} "
        "by the qform (code {})",
        orientation_letters(header.geometry), header.sform_code, orientation_letters(other),
        header.qform_code);
    header.side_doubt = text;
  }
  header.warnings.push_back(text);
  if (apart >= kNotableMm) header.concerns.push_back(text);
}

void warn_of_geometry(const Fields& fields, ScanHeader& header) {
  if (header.sform_code <= 0 && header.qform_code <= 0) {
    header.side_doubt =
        "no orientation in the header (sform and qform codes are 0): left and right are ambiguous";
    header.warnings.push_back(header.side_doubt + "; axes are taken as R, A, S");
    return;
  }
  if (header.sform_code > 0 && header.qform_code > 0) compare_forms(header);
  const Eigen::Vector3d spacing = header.geometry.spacing_mm();
  for (int axis = 0; axis < 3; ++axis) {
    const double named = std::abs(fields.qform[static_cast<std::size_t>(axis) + 1]);
    if (std::abs(named - spacing[axis]) > 0.01 * spacing[axis]) {
      header.warnings.push_back(fmt::format(
          "pixdim says {:.4g} mm along axis {}, the affine {:.4g} mm: the affine is used", named,
          axis + 1, spacing[axis]));
    }
  }
}

void fill(StoredImage& image, const Fields& fields, const nifti_image& nim, const fs::path& path) {
  ScanHeader& header = image.header;
  header.geometry.shape = shape_of(fields, path);
  header.sform_code = nim.sform_code;
  header.qform_code = nim.qform_code;
  header.qform = matrix(nim.qto_xyz);
  header.qform_fields = fields.qform;
  if (nim.sform_code > 0) header.sform = matrix(nim.sto_xyz);
  header.geometry.affine = nim.sform_code > 0 ? header.sform : header.qform;
  if (fields.units == NIFTI_UNITS_METER || fields.units == NIFTI_UNITS_MICRON) {
    header.warnings.push_back(
        fmt::format("the header gives lengths in {}: they are taken as mm all the same",
                    nifti_units_string(fields.units)));
  }
  check_affine(path, header);
  warn_of_geometry(fields, header);
  if (fields.slope != 0 && std::isfinite(fields.slope)) {
    image.slope = fields.slope;
    image.intercept = std::isfinite(fields.intercept) ? fields.intercept : 0;
  }
}

/// Swaps when needed, checks what nifti_clib would complain about on stderr, and lets it convert.
template <class Header>
StoredImage parse(Header raw, bool swapped, const fs::path& path,
                  nifti_image* (*convert)(Header, const char*)) {
  constexpr int kVersion = sizeof(Header) == 348 ? 1 : 2;
  if (swapped) swap_nifti_header(&raw, kVersion);
  const Fields fields = fields_of(raw);
  const std::string single = kVersion == 1 ? "n+1" : "n+2";
  const std::string pair = kVersion == 1 ? "ni1" : "ni2";
  if (fields.magic != single && fields.magic != pair) {
    throw core::InputError(
        fmt::format("{} is not NIfTI: an ANALYZE header without orientation", path.string()),
        "convert it to NIfTI, for example with fslchfiletype or mri_convert");
  }
  shape_of(fields, path);
  StoredImage image;
  image.swapped = swapped;
  check_type(fields.datatype, path);
  set_type(image, fields.datatype);
  image.header.format = kVersion == 1 ? "nifti1" : "nifti2";
  image.data_path = fields.magic == pair ? exchange_ending(path, ".hdr", ".img") : path;
  if (fields.magic == pair && image.data_path == path) {
    throw core::InputError(
        fmt::format("{} is one of a .hdr/.img pair, and the .img is missing", path.string()));
  }
  constexpr double kSmallest = kVersion == 1 ? 348 : 540;
  if (fields.magic == single && !(fields.offset >= kSmallest && fields.offset < 1e12)) {
    throw core::InputError(fmt::format("{} is damaged: its voxels are said to start at byte {}",
                                       path.string(), fields.offset));
  }
  image.data_offset = std::isfinite(fields.offset) && fields.offset > 0
                          ? static_cast<std::int64_t>(fields.offset)
                          : 0;
  nifti_set_debug_level(0);
  const Nim nim(convert(raw, nullptr), nifti_image_free);
  if (!nim) throw core::InputError(fmt::format("{} has a damaged NIfTI header", path.string()));
  fill(image, fields, *nim, path);
  return image;
}

nifti_image* convert1(nifti_1_header header, const char* name) {
  return nifti_convert_n1hdr2nim(header, name);
}
nifti_image* convert2(nifti_2_header header, const char* name) {
  return nifti_convert_n2hdr2nim(header, name);
}

}  // namespace

StoredImage parse_nifti(const fs::path& given) {
  const fs::path path = exchange_ending(given, ".img", ".hdr");
  const std::vector<unsigned char> bytes = read_start(path, sizeof(nifti_2_header));
  std::int32_t size = 0;
  if (bytes.size() >= sizeof(size)) std::memcpy(&size, bytes.data(), sizeof(size));
  std::int32_t reversed = 0;
  for (int i = 0; i < 4; ++i) {
    reversed = static_cast<std::int32_t>(static_cast<std::uint32_t>(reversed) << 8 |
                                         ((static_cast<std::uint32_t>(size) >> (8 * i)) & 0xFFU));
  }
  const auto is = [&](std::size_t header_bytes) {
    const auto wanted = static_cast<std::int32_t>(header_bytes);
    if (size != wanted && reversed != wanted) return false;
    if (bytes.size() < header_bytes) {
      throw core::InputError(fmt::format("{} is truncated: its header has {} bytes, {} found",
                                         path.string(), header_bytes, bytes.size()),
                             "fetch or make the file again: it was cut off or damaged");
    }
    return true;
  };
  if (is(sizeof(nifti_1_header))) {
    nifti_1_header header;
    std::memcpy(&header, bytes.data(), sizeof(header));
    return parse(header, size != static_cast<std::int32_t>(sizeof(header)), path, convert1);
  }
  if (is(sizeof(nifti_2_header))) {
    nifti_2_header header;
    std::memcpy(&header, bytes.data(), sizeof(header));
    return parse(header, size != static_cast<std::int32_t>(sizeof(header)), path, convert2);
  }
  throw core::InputError(
      fmt::format("{} is not an image that epvs reads", path.string()),
      "expected NIfTI (.nii, .nii.gz, .hdr/.img) or MGH (.mgh, .mgz); DICOM is converted by "
      "dcm2niix");
}

}  // namespace epvs::data
