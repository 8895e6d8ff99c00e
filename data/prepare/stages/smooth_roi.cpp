#include "data/prepare/stages/smooth_roi.h"

#include <fmt/format.h>

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/parallel.h"
#include "core/text.h"

namespace epvs::data {

namespace {

std::string shape_text(const Shape& shape) {
  return fmt::format("{}x{}x{}", shape[0], shape[1], shape[2]);
}

void require_same_grid(const Geometry& scan, const Geometry& other, const char* what) {
  if (scan.same_as(other)) return;
  throw core::InputError(fmt::format("the {} ({} voxels) is not on the scan's grid ({} voxels)",
                                     what, shape_text(other.shape), shape_text(scan.shape)),
                         "resample it onto the scan's grid first");
}

/// One axis of the Gaussian. `lines(i)` = out row of index i along the axis.
void smooth_along(const Volume<float>& in, Volume<float>& out, std::size_t axis,
                  const std::vector<double>& half, int threads) {
  const Shape& shape = in.geometry.shape;
  const auto radius = static_cast<std::int64_t>(half.size()) - 1;
  const std::int64_t width = shape[0];
  core::parallel_ranges(shape[2], threads, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> sum(static_cast<std::size_t>(width));
    std::vector<double> padded(static_cast<std::size_t>(width + 2 * radius), 0.0);
    for (std::int64_t z = begin; z < end; ++z) {
      for (std::int64_t y = 0; y < shape[1]; ++y) {
        std::fill(sum.begin(), sum.end(), 0.0);
        const float* own = in.voxels.data() + in.offset(0, y, z);
        if (axis == 0) {
          std::copy(own, own + width, padded.begin() + radius);
        }
        for (std::int64_t k = -radius; k <= radius; ++k) {
          const double weight = half[static_cast<std::size_t>(std::abs(k))];
          if (axis == 0) {
            const double* shifted = padded.data() + radius + k;
            for (std::size_t x = 0; x < sum.size(); ++x) sum[x] += weight * shifted[x];
            continue;
          }
          const std::int64_t yy = axis == 1 ? y + k : y;
          const std::int64_t zz = axis == 2 ? z + k : z;
          if (yy < 0 || yy >= shape[1] || zz < 0 || zz >= shape[2]) continue;
          const float* row = in.voxels.data() + in.offset(0, yy, zz);
          for (std::size_t x = 0; x < sum.size(); ++x) {
            sum[x] += weight * static_cast<double>(row[x]);
          }
        }
        float* target = out.voxels.data() + out.offset(0, y, z);
        for (std::size_t x = 0; x < sum.size(); ++x) target[x] = static_cast<float>(sum[x]);
      }
    }
  });
}

/// The fractions of the hard mask that SmoothRoi reports.
void measure_mask(const Volume<std::uint8_t>& hard, const Volume<std::uint8_t>* view,
                  const VoxelBox& crop_box, SmoothRoi& result) {
  const Shape& shape = hard.geometry.shape;
  const auto outside_view = [&](std::int64_t x, std::int64_t y, std::int64_t z) {
    if (x < 0 || y < 0 || z < 0 || x >= shape[0] || y >= shape[1] || z >= shape[2]) return true;
    return view != nullptr && view->at(x, y, z) == 0;
  };
  std::int64_t total = 0;
  std::int64_t cut = 0;
  std::int64_t edge = 0;
  std::int64_t outside_crop = 0;
  for_each_voxel(shape, [&](auto x, auto y, auto z) {
    if (hard.at(x, y, z) == 0) return;
    ++total;
    const bool in_crop = x >= crop_box.begin[0] && x < crop_box.end[0] && y >= crop_box.begin[1] &&
                         y < crop_box.end[1] && z >= crop_box.begin[2] && z < crop_box.end[2];
    if (!in_crop) ++outside_crop;
    if (outside_view(x, y, z)) {
      ++cut;
    } else if (outside_view(x - 1, y, z) || outside_view(x + 1, y, z) ||
               outside_view(x, y - 1, z) || outside_view(x, y + 1, z) ||
               outside_view(x, y, z - 1) || outside_view(x, y, z + 1)) {
      ++edge;
    }
  });
  if (cut == total) {
    throw core::InputError("the region lies wholly outside the scan's field of view",
                           "do the scan and the labels belong to the same participant and space?");
  }
  const auto count = static_cast<double>(total);
  const double voxel_mm3 = std::abs(hard.geometry.affine.topLeftCorner<3, 3>().determinant());
  result.region_volume_mm3 = count * voxel_mm3;
  result.cut_fraction = static_cast<double>(cut) / count;
  result.edge_fraction = static_cast<double>(edge) / count;
  result.outside_crop_fraction = static_cast<double>(outside_crop) / count;
}

struct Extremes {
  double minimum = std::numeric_limits<double>::infinity();
  double maximum = -std::numeric_limits<double>::infinity();
};

/// Of the scan over the dilated mask inside the field of view; all volumes are on the same box.
Extremes extremes(const Volume<float>& scan, const Volume<std::uint8_t>& dilated,
                  const Volume<float>& soft, const Volume<std::uint8_t>* view,
                  const VoxelBox& box) {
  Extremes found;
  for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
    if (soft.voxels[i] <= 0 && dilated.voxels[i] == 0) continue;
    const auto value = static_cast<double>(scan.voxels[i]);
    if (!std::isfinite(value)) {
      const auto index = static_cast<std::int64_t>(i);
      const Shape size = box.size();
      throw core::InputError(
          fmt::format("the scan is {} at voxel ({}, {}, {}) of the network's grid, in the region",
                      value, box.begin[0] + index % size[0],
                      box.begin[1] + index / size[0] % size[1],
                      box.begin[2] + index / (size[0] * size[1])),
          "replace NaN and infinity in the scan, or exclude it");
    }
    if (dilated.voxels[i] == 0 || (view != nullptr && view->voxels[i] == 0)) continue;
    found.minimum = std::min(found.minimum, value);
    found.maximum = std::max(found.maximum, value);
  }
  if (!(found.maximum > found.minimum)) {
    throw core::InputError(
        fmt::format("the scan is constant ({}) in the region", found.minimum),
        "is the scan empty there, or are scan and labels of different participants?");
  }
  return found;
}

/// roi = the normalised product, from volumes on the crop.
void normalise(const Volume<float>& scan, const Volume<std::uint8_t>* view, const Extremes& range,
               Normalisation how, SmoothRoi& result) {
  result.roi = Volume<float>(scan.geometry);
  const std::size_t count = scan.voxels.size();
  if (how == Normalisation::kMinMax) {
    result.intensity_offset = range.minimum;
    result.intensity_scale = 1 / (range.maximum - range.minimum);
    for (std::size_t i = 0; i < count; ++i) {
      // Padding and voxels beyond the field of view stay 0.
      if (result.soft.voxels[i] <= 0 || (view != nullptr && view->voxels[i] == 0)) continue;
      const double value =
          (static_cast<double>(scan.voxels[i]) - result.intensity_offset) * result.intensity_scale;
      result.roi.voxels[i] = static_cast<float>(static_cast<double>(result.soft.voxels[i]) *
                                                std::clamp(value, 0.0, 1.0));
    }
    return;
  }
  double largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (result.soft.voxels[i] <= 0) continue;
    const double product =
        static_cast<double>(scan.voxels[i]) * static_cast<double>(result.soft.voxels[i]);
    largest = std::max(largest, product);
    result.roi.voxels[i] = static_cast<float>(product);
  }
  if (!(largest > 0)) {
    throw core::InputError("the scan has no positive value in the region",
                           "normalisation 'max' divides by the maximum; use 'minmax'");
  }
  result.intensity_scale = 1 / largest;
  for (float& value : result.roi.voxels) {
    value = static_cast<float>(static_cast<double>(value) * result.intensity_scale);
  }
}

}  // namespace

std::vector<double> gaussian_half_kernel(double sigma_voxels) {
  if (sigma_voxels <= 0) return {1.0};
  const auto radius = static_cast<std::size_t>(gaussian_radius(sigma_voxels));
  std::vector<double> half(radius + 1);
  double sum = 0;
  for (std::size_t k = 0; k <= radius; ++k) {
    const auto distance = static_cast<double>(k);
    half[k] = std::exp(-0.5 * distance * distance / (sigma_voxels * sigma_voxels));
    sum += k == 0 ? half[k] : 2 * half[k];
  }
  for (double& weight : half) weight /= sum;
  return half;
}

Volume<float> gaussian_smooth(const Volume<float>& volume, double sigma_voxels, int threads) {
  if (sigma_voxels <= 0) return volume;
  const std::vector<double> half = gaussian_half_kernel(sigma_voxels);
  Volume<float> a(volume.geometry);
  Volume<float> b(volume.geometry);
  smooth_along(volume, a, 2, half, threads);
  smooth_along(a, b, 1, half, threads);
  smooth_along(b, a, 0, half, threads);
  return a;
}

Volume<std::uint8_t> dilate(const Volume<std::uint8_t>& mask, int iterations, int threads) {
  Volume<std::uint8_t> current = mask;
  for (std::uint8_t& value : current.voxels) value = value != 0 ? 1 : 0;
  Volume<std::uint8_t> next = current;
  const Shape& shape = mask.geometry.shape;
  for (int iteration = 0; iteration < iterations; ++iteration) {
    core::parallel_ranges(shape[2], threads, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t width = shape[0];
      for (std::int64_t z = begin; z < end; ++z) {
        for (std::int64_t y = 0; y < shape[1]; ++y) {
          std::uint8_t* out = next.voxels.data() + next.offset(0, y, z);
          const std::uint8_t* in = current.voxels.data() + current.offset(0, y, z);
          const auto join = [&](const std::uint8_t* from, std::int64_t first, std::int64_t last) {
            for (std::int64_t x = first; x < last; ++x) {
              out[x] = static_cast<std::uint8_t>(out[x] | from[x]);
            }
          };
          join(in - 1, 1, width);
          join(in + 1, 0, width - 1);
          if (y > 0) join(in - width, 0, width);
          if (y + 1 < shape[1]) join(in + width, 0, width);
          if (z > 0) join(in - width * shape[1], 0, width);
          if (z + 1 < shape[2]) join(in + width * shape[1], 0, width);
        }
      }
    });
    current.voxels = next.voxels;
  }
  return current;
}

Shape centre_of_mass_voxel(const Volume<std::uint8_t>& mask) {
  std::int64_t count = 0;
  Shape sum = {0, 0, 0};
  for_each_voxel(mask.geometry.shape, [&](auto x, auto y, auto z) {
    if (mask.at(x, y, z) == 0) return;
    ++count;
    sum = {sum[0] + x, sum[1] + y, sum[2] + z};
  });
  if (count == 0) {
    throw core::InputError("the region is empty: no voxel of the mask is set",
                           "check the label map, --lut and --regions");
  }
  return {(2 * sum[0] + count) / (2 * count), (2 * sum[1] + count) / (2 * count),
          (2 * sum[2] + count) / (2 * count)};
}

SmoothRoi smooth_roi(const Volume<float>& scan, const Volume<std::uint8_t>& hard,
                     const PreprocessingOptions& options, int threads,
                     const Volume<std::uint8_t>* view) {
  options.validate();
  require_same_grid(scan.geometry, hard.geometry, "region");
  if (view != nullptr) require_same_grid(scan.geometry, view->geometry, "field of view");
  const Shape centre = centre_of_mass_voxel(hard);
  SmoothRoi result;
  VoxelBox crop_box;
  for (std::size_t i = 0; i < 3; ++i) {
    crop_box.begin[i] = centre[i] - options.crop_voxels[i] / 2;
    crop_box.end[i] = crop_box.begin[i] + options.crop_voxels[i];
  }
  result.crop_origin = crop_box.begin;
  measure_mask(hard, view, crop_box, result);

  // Nothing of the soft mask lies beyond this box, so working on it changes no number.
  const VoxelBox box = bounding_box(hard).grown(options.reach_voxels(), hard.geometry.shape);
  const Volume<std::uint8_t> dilated = dilate(crop(hard, box), options.dilation_voxels, threads);
  Volume<float> soft(dilated.geometry);
  std::copy(dilated.voxels.begin(), dilated.voxels.end(), soft.voxels.begin());
  soft = gaussian_smooth(soft, options.sigma_voxels, threads);
  for (float& value : soft.voxels) value = std::min(value, 1.0F);

  const auto view_on = [&](const VoxelBox& part) {
    return view == nullptr ? Volume<std::uint8_t>() : crop(*view, part);
  };
  const Volume<std::uint8_t> box_view = view_on(box);
  const Extremes range =
      extremes(crop(scan, box), dilated, soft, view == nullptr ? nullptr : &box_view, box);
  VoxelBox in_box = crop_box;
  for (std::size_t i = 0; i < 3; ++i) {
    in_box.begin[i] -= box.begin[i];
    in_box.end[i] -= box.begin[i];
  }
  result.soft = crop(soft, in_box);
  result.hard = crop(hard, crop_box);
  for (std::uint8_t& value : result.hard.voxels) value = value != 0 ? 1 : 0;
  const Volume<float> cropped = crop(scan, crop_box);
  result.soft.geometry = cropped.geometry;
  const Volume<std::uint8_t> crop_view = view_on(crop_box);
  normalise(cropped, view == nullptr ? nullptr : &crop_view, range, options.normalisation, result);
  return result;
}

}  // namespace epvs::data
