#include "data/implant/measure.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <Eigen/LU>
#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <unsupported/Eigen/FFT>

#include "core/error.h"
#include "core/text.h"
#include "data/formats/resample.h"

namespace epvs::data {

namespace {

constexpr std::size_t kLeastVoxels = 50;

/// A structure that contrast is measured in.
struct Structure {
  const char* name;
  std::vector<std::int64_t> CsoLabels::*labels;
};
constexpr Structure kWhiteMatter = {"white matter", &CsoLabels::white_matter};
constexpr Structure kVentricles = {"lateral ventricles", &CsoLabels::ventricles};

/// "2,41,3001,3002,3003,3004,..."
std::string shown(const std::vector<std::int64_t>& labels) {
  std::vector<std::string> texts;
  for (const std::int64_t label : labels) {
    if (texts.size() == 6) {
      texts.emplace_back("...");
      break;
    }
    texts.push_back(std::to_string(label));
  }
  return texts.empty() ? "(no numbers known)" : core::join(texts, ",");
}

struct FoundStructure {
  const LabelMap* map;
  Volume<std::uint8_t> mask;  ///< on the map's grid
};

FoundStructure find_structure(const std::vector<LabelMap>& maps, const Structure& structure) {
  std::vector<std::string> names;
  for (const LabelMap& map : maps) {
    Volume<std::uint8_t> mask = region_mask(*map.labels, map.landmarks.*structure.labels);
    if (!bounding_box(mask).empty()) return {&map, std::move(mask)};
    names.push_back(
        fmt::format("{} (labels {})", map.name, shown(map.landmarks.*structure.labels)));
  }
  throw core::InputError(
      fmt::format("the contrast cannot be measured: there is no voxel of the {} in {}",
                  structure.name, core::join(names, ", ")),
      "add a label map or atlas that has them, or give their numbers in a TOML file for --lut: "
      "[cso] white_matter = [...], ventricles = [...]");
}

/// Values of the scan in the structure, in no order.
std::vector<float> values_in(const Volume<float>& scan, const FoundStructure& structure,
                             const char* name, int threads) {
  const Volume<std::uint8_t> mask =
      resample_mask(structure.mask, scan.geometry, structure.map->scan_to_labels, threads);
  std::vector<float> values;
  for (std::size_t i = 0; i < mask.voxels.size(); ++i) {
    if (mask.voxels[i] != 0) values.push_back(scan.voxels[i]);
  }
  if (values.size() < kLeastVoxels) {
    throw core::InputError(
        fmt::format("the contrast cannot be measured: {} voxels of the {} ({}) lie in the scan, at "
                    "least {} are needed",
                    values.size(), name, structure.map->name, kLeastVoxels),
        "is the label map of the same person, and in the same space as the scan?");
  }
  return values;
}

double quantile(std::vector<float> values, double part) {
  const auto at = static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return static_cast<double>(values[static_cast<std::size_t>(at)]);
}

constexpr double kLowBand = 0.04;   ///< cycles per voxel
constexpr double kHighBand = 0.12;  ///< above this the scan's own blur begins

/// Mean power of the lines along `axis`, for 0 to n / 2 cycles per line.
std::vector<double> power_spectrum(const Volume<float>& scan, std::size_t axis) {
  const Shape& shape = scan.geometry.shape;
  const auto n = static_cast<std::size_t>(shape[axis]);
  const std::array<std::int64_t, 3> strides = {1, shape[0], shape[0] * shape[1]};
  const std::size_t through = slice_axis(scan.geometry);
  std::vector<double> window(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double sine = std::sin(M_PI * (static_cast<double>(i) + 0.5) / static_cast<double>(n));
    window[i] = sine * sine;
  }
  VoxelBox starts = {{0, 0, 0}, shape};
  starts.begin[through] = shape[through] / 4;
  starts.end[through] = shape[through] - shape[through] / 4;
  starts.begin[axis] = 0;
  starts.end[axis] = 1;
  Eigen::FFT<double> fft;
  std::vector<double> line(n);
  std::vector<std::complex<double>> spectrum;
  std::vector<double> power(n / 2 + 1, 0.0);
  for_each_voxel(starts.size(), [&](auto x, auto y, auto z) {
    const std::size_t start =
        scan.offset(starts.begin[0] + x, starts.begin[1] + y, starts.begin[2] + z);
    const float* first = scan.voxels.data() + start;  // taken off, so that a constant is exactly 0
    double mean = 0;
    for (std::size_t i = 0; i < n; ++i) {
      line[i] = static_cast<double>(first[i * static_cast<std::size_t>(strides[axis])]) -
                static_cast<double>(*first);
      mean += line[i] / static_cast<double>(n);
    }
    for (std::size_t i = 0; i < n; ++i) line[i] = (line[i] - mean) * window[i];
    fft.fwd(spectrum, line);
    for (std::size_t k = 0; k < power.size(); ++k) power[k] += std::norm(spectrum[k]);
  });
  return power;
}

/// Cycles per voxel at which the transfer function has fallen to one half.
double half_transfer(const std::vector<double>& power) {
  const auto bins = static_cast<std::int64_t>(power.size());
  const double n = 2.0 * static_cast<double>(bins - 1);
  const auto whitened = [&](std::int64_t k) {
    const double f = static_cast<double>(k) / n;
    return power[static_cast<std::size_t>(k)] * f * f;
  };
  double logarithms = 0;
  double count = 0;
  for (std::int64_t k = 1; k < bins; ++k) {
    const double f = static_cast<double>(k) / n;
    if (f < kLowBand || f > kHighBand || whitened(k) <= 0) continue;
    logarithms += std::log(whitened(k));
    count += 1;
  }
  if (count == 0) {
    throw core::InputError("the sharpness cannot be measured: the scan is constant, or too small",
                           "at least 25 voxels are needed along each axis");
  }
  const double flat = std::exp(logarithms / count);
  const auto half_width = std::max<std::int64_t>(1, std::llround(0.01 * n));
  for (std::int64_t k = std::llround(std::ceil(kHighBand * n)); k < bins; ++k) {
    double sum = 0;
    double terms = 0;
    for (std::int64_t j = k - half_width; j <= std::min(bins - 1, k + half_width); ++j) {
      sum += whitened(j);
      terms += 1;
    }
    if (sum / terms < 0.25 * flat) return static_cast<double>(k) / n;
  }
  return 0.5;
}

}  // namespace

ScanContrast measure_contrast(const Volume<float>& scan, const std::vector<LabelMap>& maps,
                              int threads) {
  const FoundStructure white = find_structure(maps, kWhiteMatter);
  const FoundStructure ventricles = find_structure(maps, kVentricles);
  ScanContrast contrast;
  contrast.white_matter = quantile(values_in(scan, white, kWhiteMatter.name, threads), 0.5);
  contrast.csf = quantile(values_in(scan, ventricles, kVentricles.name, threads), 0.9);
  if (!(contrast.white_matter > 0) || !(contrast.ratio() >= kLeastRatio)) {
    throw core::InputError(
        fmt::format("CSF is {:.2f} times as bright as white matter ({} and {}): at least {} times "
                    "is expected of a T2-weighted scan",
                    contrast.ratio(), core::format_float(contrast.csf),
                    core::format_float(contrast.white_matter), kLeastRatio),
        "EPVS can only be implanted where CSF is bright: is this scan T2-weighted, and do the "
        "labels lie on their structures?");
  }
  return contrast;
}

std::vector<Eigen::Vector3d> ventricle_points(const std::vector<LabelMap>& maps) {
  const FoundStructure found = find_structure(maps, kVentricles);
  const Geometry& geometry = found.mask.geometry;
  const Eigen::Matrix4d to_scan = found.map->scan_to_labels.inverse();
  std::vector<Eigen::Vector3d> points;
  for_each_voxel(geometry.shape, [&](auto x, auto y, auto z) {
    if (found.mask.at(x, y, z) == 0) return;
    points.push_back((to_scan * geometry.to_world(x, y, z).homogeneous()).template head<3>());
  });
  return points;
}

Eigen::Vector3d blur_mm(const Volume<float>& scan) {
  const Eigen::Vector3d spacing = scan.geometry.spacing_mm();
  Eigen::Vector3d blur = Eigen::Vector3d::Zero();
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto i = static_cast<Eigen::Index>(axis);
    // A thick slice is its own blur.
    if (axis == slice_axis(scan.geometry) && spacing[i] > 1.25 * spacing.minCoeff()) continue;
    const double sigma =
        std::sqrt(0.5 * std::log(2.0)) / (M_PI * half_transfer(power_spectrum(scan, axis)));
    blur[i] = spacing[i] * std::sqrt(std::max(0.0, sigma * sigma - 1.0 / 12.0));
  }
  return blur;
}

}  // namespace epvs::data
