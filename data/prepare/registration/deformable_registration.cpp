#include "data/prepare/registration/deformable_registration.h"

// Eigen before ITK: ITK includes parts of its own copy, which must find all of ours in place.
#include <Eigen/Dense>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/prepare/registration/deformable_objective.h"
#include "data/prepare/registration/limited_memory.h"
#include "data/prepare/registration/registration_level.h"

namespace epvs::data {

namespace {

/// No control point moves by more than this many voxels of the working grid in one step.
constexpr double kLongestStep = 1.0;

AlignedImage aligned(const WorkingImage& image) {
  AlignedImage result;
  const auto region = image.GetLargestPossibleRegion();
  for (unsigned axis = 0; axis < 3; ++axis) {
    result.count[axis] = static_cast<std::int64_t>(region.GetSize(axis));
    result.origin_mm[axis] = image.GetOrigin()[axis];
  }
  result.spacing_mm = image.GetSpacing()[0];
  result.voxels.assign(image.GetBufferPointer(),
                       image.GetBufferPointer() + region.GetNumberOfPixels());
  return result;
}

std::vector<DeformationSample> samples_of(const Level& level, const Eigen::Matrix4d& affine) {
  const AlignedImage fixed = aligned(*level.fixed);
  std::vector<DeformationSample> samples;
  Eigen::Vector3d unused;
  for (std::size_t i = 0; i < level.count; ++i) {
    const auto point = level.points->GetPoint(i);
    const Eigen::Vector3d at(point[0], point[1], point[2]);
    double value = 0;
    if (!fixed.value(at, value, unused)) continue;
    samples.push_back({(affine * at.homogeneous()).head<3>(), value});
  }
  return samples;
}

}  // namespace

void DeformableOptions::validate() const {
  const auto require = [](bool holds, const std::string& what) {
    if (!holds) throw core::UsageError("deformable registration: " + what);
  };
  require(!control_spacing_mm.empty() && control_spacing_mm.size() == level_spacing_mm.size(),
          fmt::format("control_spacing_mm has {} and level_spacing_mm {} levels; expected as many",
                      control_spacing_mm.size(), level_spacing_mm.size()));
  for (std::size_t i = 0; i < control_spacing_mm.size(); ++i) {
    require(control_spacing_mm[i] > 0 && level_spacing_mm[i] > 0,
            fmt::format("level {}: spacings {} and {}; expected > 0", i, control_spacing_mm[i],
                        level_spacing_mm[i]));
    require(i == 0 || control_spacing_mm[i] == 0.5 * control_spacing_mm[i - 1],
            fmt::format("control_spacing_mm = {} after {}; expected its half",
                        control_spacing_mm[i], control_spacing_mm[i == 0 ? 0 : i - 1]));
  }
  require(samples >= 1000, fmt::format("samples = {}; expected >= 1000", samples));
  require(bins >= 8, fmt::format("bins = {}; expected >= 8", bins));
  require(iterations >= 1, fmt::format("iterations = {}; expected >= 1", iterations));
  require(bending >= 0, fmt::format("bending = {}; expected >= 0", bending));
}

DeformableResult register_deformable(const Volume<float>& scan, const Volume<float>& template_scan,
                                     const Eigen::Matrix4d& scan_to_template,
                                     const DeformableOptions& options) {
  options.validate();
  DeformableResult result;
  result.deformation =
      Deformation(ControlGrid::over(template_scan.geometry, options.control_spacing_mm[0]));
  for (std::size_t i = 0; i < options.control_spacing_mm.size(); ++i) {
    if (i > 0) result.deformation = result.deformation.refined();
    const Level level = make_level(scan, template_scan, options.level_spacing_mm[i],
                                   options.samples, options.seed + i);
    const AlignedImage moving = aligned(*level.moving);
    DeformableObjective objective(moving, samples_of(level, scan_to_template),
                                  result.deformation.grid(), options.bins, options.bending);
    std::vector<double>& coefficients = result.deformation.coefficients();
    const std::vector<double> still(coefficients.size(), 0.0);
    objective(still, nullptr);
    result.information_before = objective.information();
    if (!(result.information_before > 0)) {
      throw core::InputError("the scan and the template do not overlap",
                             "check the affine transform in the picture of the scan");
    }
    LimitedMemoryOptions search;
    search.iterations = options.iterations;
    search.longest_step = kLongestStep * options.level_spacing_mm[i];
    minimise([&objective](const auto& at, auto* slope) { return objective(at, slope); },
             coefficients, search);
    objective(coefficients, nullptr);
    result.information_after = objective.information();
    result.evaluations += objective.evaluations();
  }
  result.jacobian_min = smallest_jacobian(result.deformation, template_scan.geometry, kFoldStep_mm);
  return result;
}

}  // namespace epvs::data
