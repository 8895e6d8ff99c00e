#include "data/prepare/inputs/dicom_geometry.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace epvs::data {

namespace {

/// Direction cosines are written with 4 to 6 decimals.
constexpr double kSameDirection = 1e-3;
constexpr double kSameSpacing = 1e-3;  ///< relative
/// Gaps that differ by more than this share are not one spacing; positions have 3 decimals or more.
constexpr double kSameGap = 0.02;
constexpr double kRoundingMm = 0.01;
constexpr double kSamePlaceMm = 1e-3;
constexpr double kBesideMm = 0.1;
constexpr double kLeaningDegrees = 0.1;

void check_one(const DicomFrame& slice) {
  const auto refuse = [&](const std::string& what, const std::string& hint) {
    throw core::InputError(fmt::format("{}: {}", slice.name(), what), hint);
  };
  if (slice.mosaic) {
    refuse("a mosaic (several slices in one picture); one slice per picture was expected",
           "convert the series with dcm2niix");
  }
  if (slice.samples != 1 || slice.photometric != "MONOCHROME2") {
    refuse(
        fmt::format("{} with {} numbers per pixel; MONOCHROME2 with one was expected",
                    slice.photometric.empty() ? "no photometric interpretation" : slice.photometric,
                    slice.samples),
        "choose the series with the scan itself, not a picture made from it");
  }
  if (!slice.has_geometry) {
    refuse(
        "no position, orientation or pixel spacing (ImagePositionPatient, ImageOrientationPatient, "
        "PixelSpacing); a slice of a volume was expected",
        "choose another series: this one holds pictures without a place in the head");
  }
  const bool square = std::abs(slice.along_row.norm() - 1) < 0.01 &&
                      std::abs(slice.along_column.norm() - 1) < 0.01 &&
                      std::abs(slice.along_row.dot(slice.along_column)) < kSameDirection;
  if (!square || !(slice.spacing.minCoeff() > 0)) {
    refuse(
        "ImageOrientationPatient or PixelSpacing is damaged: two unit vectors at right angles "
        "and spacings above 0 were expected",
        "export the series again");
  }
}

void check_alike(const DicomFrame& first, const DicomFrame& other) {
  const auto refuse = [&](const std::string& what, const std::string& a, const std::string& b) {
    throw core::InputError(
        fmt::format("{} of the slices differs: {} has {}, {} has {}", what, first.name(), a,
                    other.name(), b),
        "one volume was expected: these images are several scans, for example a localiser");
  };
  if (first.rows != other.rows || first.columns != other.columns) {
    refuse("the size", fmt::format("{}x{} pixels", first.columns, first.rows),
           fmt::format("{}x{}", other.columns, other.rows));
  }
  const auto text = [](const DicomFrame& slice) {
    const Eigen::Vector3d normal = slice.along_row.cross(slice.along_column);
    return fmt::format("normal ({:.3f}, {:.3f}, {:.3f})", normal[0], normal[1], normal[2]);
  };
  if ((first.along_row - other.along_row).cwiseAbs().maxCoeff() > kSameDirection ||
      (first.along_column - other.along_column).cwiseAbs().maxCoeff() > kSameDirection) {
    refuse("the orientation", text(first), text(other));
  }
  if ((first.spacing - other.spacing).cwiseAbs().maxCoeff() >
      kSameSpacing * first.spacing.minCoeff()) {
    refuse("the pixel spacing", fmt::format("{:.4g}x{:.4g} mm", first.spacing[0], first.spacing[1]),
           fmt::format("{:.4g}x{:.4g} mm", other.spacing[0], other.spacing[1]));
  }
}

[[noreturn]] void refuse_duplicate(const DicomFrame& a, const DicomFrame& b) {
  const bool copy = !a.instance_uid.empty() && a.instance_uid == b.instance_uid;
  throw core::InputError(
      fmt::format("two slices lie at the same position ({:.2f}, {:.2f}, {:.2f}): {} and {}",
                  a.position[0], a.position[1], a.position[2], a.name(), b.name()),
      copy ? "they are the same image twice: remove the copies"
           : "one image per position was expected: several time points, contrasts or "
             "reconstructions are in this series; separate them");
}

void check_gaps(const std::vector<DicomFrame>& slices, const std::vector<double>& place) {
  std::vector<double> gaps;
  for (std::size_t i = 1; i < place.size(); ++i) {
    gaps.push_back(place[i] - place[i - 1]);
    if (gaps.back() < kSamePlaceMm) refuse_duplicate(slices[i - 1], slices[i]);
  }
  std::vector<double> sorted = gaps;
  std::sort(sorted.begin(), sorted.end());
  const double usual = sorted[(sorted.size() - 1) / 2];
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    if (std::abs(gaps[i] - usual) <= kSameGap * usual + kRoundingMm) continue;
    const double missing = gaps[i] / usual - 1;
    const bool whole = missing > 0.5 && std::abs(missing - std::round(missing)) < 0.1;
    throw core::InputError(
        fmt::format(
            "the gap between {} and {} is {:.3f} mm, the others are {:.3f} mm: {}",
            slices[i].name(), slices[i + 1].name(), gaps[i], usual,
            whole ? fmt::format("{:.0f} slice{} missing", missing, missing < 1.5 ? " is" : "s are")
                  : std::string("slices at equal distances were expected")),
        whole ? "export the series again, completely"
              : "choose another series: this is no volume of one scan");
  }
}

}  // namespace

Geometry stack_slices(std::vector<DicomFrame>& slices, std::vector<std::string>& warnings) {
  for (const DicomFrame& slice : slices) check_one(slice);
  for (const DicomFrame& slice : slices) check_alike(slices.front(), slice);
  if (slices.size() < 2) {
    throw core::InputError(
        fmt::format("it has one image ({}); a stack of slices was expected", slices.front().name()),
        "choose another series, or export this one completely");
  }
  const Eigen::Vector3d row = slices.front().along_row.normalized();
  const Eigen::Vector3d column = slices.front().along_column.normalized();
  const Eigen::Vector3d normal = row.cross(column).normalized();
  std::sort(slices.begin(), slices.end(), [&](const DicomFrame& a, const DicomFrame& b) {
    const double x = a.position.dot(normal);
    const double y = b.position.dot(normal);
    return x != y ? x < y : a.instance_uid < b.instance_uid;
  });
  std::vector<double> place;
  for (const DicomFrame& slice : slices) place.push_back(slice.position.dot(normal));
  check_gaps(slices, place);

  const Eigen::Vector3d first = slices.front().position;
  const auto steps = static_cast<double>(slices.size() - 1);
  const Eigen::Vector3d step = (slices.back().position - first) / steps;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const Eigen::Vector3d expected = first + static_cast<double>(i) * step;
    Eigen::Vector3d beside = slices[i].position - expected;
    beside -= beside.dot(normal) * normal;
    if (beside.norm() <= kBesideMm) continue;
    throw core::InputError(fmt::format("{} lies {:.2f} mm beside the line of the other slices",
                                       slices[i].name(), beside.norm()),
                           "slices one above the other were expected: choose another series");
  }
  const double leaning =
      std::acos(std::min(1.0, step.normalized().dot(normal))) * 57.29577951308232;
  if (leaning > kLeaningDegrees) {
    warnings.push_back(
        fmt::format("the stack of slices leans by {:.2f} degrees (gantry tilt): the grid is "
                    "sheared accordingly",
                    leaning));
  }
  Geometry geometry;
  geometry.shape = {slices.front().columns, slices.front().rows,
                    static_cast<std::int64_t>(slices.size())};
  geometry.affine.block<3, 1>(0, 0) = row * slices.front().spacing[0];
  geometry.affine.block<3, 1>(0, 1) = column * slices.front().spacing[1];
  geometry.affine.block<3, 1>(0, 2) = step;
  geometry.affine.block<3, 1>(0, 3) = first;
  geometry.affine.topRows<2>() *= -1.0;  // LPS -> RAS
  return geometry;
}

}  // namespace epvs::data
