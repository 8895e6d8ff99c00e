#include "data/prepare/scan_labels.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <Eigen/LU>
#include <algorithm>
#include <limits>

#include "core/error.h"
#include "data/formats/nifti.h"
#include "data/prepare/inputs/scan_source.h"
#include "data/prepare/label_numbers.h"
#include "data/prepare/registration/elastix_program.h"
#include "data/prepare/registration/registration.h"
#include "data/prepare/registration/same_person.h"
#include "data/prepare/registration/transform_file.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// FAST's partial volume of white matter becomes label 1 where it is above one half; every other
/// map holds whole numbers.
Volume<std::int32_t> read_label_map(const fs::path& path, const std::string& lut,
                                    const OrientationRule& rule,
                                    std::vector<std::string>& concerns) {
  if (lut != "fast_pve") return read_label_image(path, rule, &concerns);
  const Volume<float> share = read_image({path, ""}, rule).image;
  const auto [low, high] = std::minmax_element(share.voxels.begin(), share.voxels.end());
  if (!(*low >= -0.001F && *high <= 1.001F)) {  // also for NaN
    throw core::InputError(fmt::format("{} has values from {} to {}: partial volumes lie in 0 to 1",
                                       path.string(), *low, *high),
                           "fast_pve is FAST's *_pve_2; for its *_seg say fast");
  }
  Volume<std::int32_t> labels(share.geometry);
  std::transform(share.voxels.begin(), share.voxels.end(), labels.voxels.begin(),
                 [](float value) { return value > 0.5F ? 1 : 0; });
  return labels;
}

/// Grid of the atlases as they are seen through a deformation.
constexpr double kDeformedSpacing_mm = 1.0;

/// One estimate of mutual information against another, both from the same points.
constexpr double kClearlyMore = 1.01;

}  // namespace

std::string transform_file_name(const std::string& key, const std::string& name) {
  return fmt::format("{}_{}_xfm.txt", key, name);
}

ScanLabels::ScanLabels(const ScanInput& input, const Volume<float>& scan,
                       const SharedInputs& shared, bool rigid, int threads)
    : shared_(shared) {
  const PrepareOptions& options = shared.options();
  information_before_ = std::numeric_limits<double>::quiet_NaN();
  information_after_ = information_before_;
  overlap_ = information_before_;
  jacobian_min_ = information_before_;
  if (options.uses_atlas()) {
    affine_ = align(input, scan, *shared.template_scan(), options.affine_registration(),
                    {"T2w", "template", "affine"}, true);
    if (options.atlas_registration == "deformable") {
      deform_atlases(input, scan, threads);
    } else {
      for (std::size_t i = 0; i < shared.atlases().size(); ++i) {
        maps_.push_back(
            {&shared.atlases()[i], *affine_, options.atlases[i], shared.table().cso(), ""});
      }
    }
  } else {
    const fs::path path = input.labels.empty() ? labels_of(input, options.labels) : input.labels;
    own_.push_back(read_label_map(path, shared.table().source(), options.orientation(), reasons_));
    const std::string foreign = foreign_numbers_text(own_.back(), shared.table().source());
    if (!foreign.empty()) reasons_.push_back(path.filename().string() + " has " + foreign);
    Eigen::Matrix4d to_labels = Eigen::Matrix4d::Identity();
    if (options.labels_space == "t1w") {
      const Scan t1w = read_image(t1w_scan(input), options.orientation());
      for (const std::string& concern : t1w.header.concerns) {
        reasons_.push_back("T1w: " + concern);
      }
      to_labels = align(input, scan, t1w.image, options.rigid_registration(),
                        {"T2w", "T1w", "rigid"}, true);
      check_sides(input, scan, t1w.image, to_labels);
    }
    maps_.push_back({&own_.back(), to_labels, path.string(), shared.table().cso(), ""});
    if (!options.white_matter.empty()) {
      const fs::path white = labels_of(input, options.white_matter);
      const RegionTable& table = shared.white_matter_table();
      own_.push_back(read_label_map(white, table.source(), options.orientation(), reasons_));
      maps_.push_back({&own_.back(), to_labels, white.string(), table.cso(), "cso"});
    }
  }
  if (rigid) {
    rigid_ = align(input, scan, *shared.template_scan(), options.rigid_registration(),
                   {"T2w", "template", "rigid"}, false);
  }
}

Eigen::Matrix4d ScanLabels::align(const ScanInput& input, const Volume<float>& scan,
                                  const Volume<float>& moving, const RegistrationOptions& options,
                                  const TransformName& name, bool carries_labels) {
  labels_are_registered_ = labels_are_registered_ || carries_labels;
  const fs::path& folder = shared_.options().transforms;
  RegistrationResult result;
  try {
    std::optional<FoundTransform> found;
    if (!folder.empty()) found = find_transform(folder, input.key(), name);
    if (found) {
      result = read_aligned(*found, scan, moving, options);
    } else {
      if (!folder.empty()) {
        warnings_.push_back(
            fmt::format("{} does not exist; registering instead",
                        (folder / transform_file_name(input.key(), name.text())).string()));
      }
      const std::string cache_name = input.key() + " " + name.text();
      const auto known = shared_.recall(cache_name);
      const bool elastix = shared_.options().registration_program == "elastix";
      result = known     ? *known
               : elastix ? register_with_elastix(scan, moving, options)
                         : register_volumes(scan, moving, options);
      shared_.remember(cache_name, result);
      if (result.information_after <= result.information_before) {
        reasons_.push_back(name.text() + ": registration did not raise the mutual information");
      }
    }
  } catch (const core::Error& error) {
    error.rethrow_in(name.text());
  }
  if (result.information_after < kLowInformation) {
    reasons_.push_back(
        fmt::format("{}: mutual information of {:.2f} nats is low: different people, "
                    "or a failed registration",
                    name.text(), result.information_after));
  }
  if (carries_labels) {
    information_before_ = result.information_before;
    information_after_ = result.information_after;
    overlap_ = result.overlap;
  }
  transforms_.push_back({name.text(), result.fixed_to_moving});
  return result.fixed_to_moving;
}

RegistrationResult ScanLabels::read_aligned(const FoundTransform& found, const Volume<float>& scan,
                                            const Volume<float>& moving,
                                            const RegistrationOptions& options) {
  RegistrationResult result;
  result.fixed_to_moving = read_found_transform(found, scan.geometry, moving.geometry);
  const std::vector<Agreement> fits = agreement(
      scan, moving,
      {Eigen::Matrix4d::Identity(), result.fixed_to_moving, result.fixed_to_moving.inverse()},
      options);
  result.information_before = fits[0].information;
  result.information_after = fits[1].information;
  result.overlap = fits[1].overlap;
  const std::string file = found.path.filename().string();
  const double after = kClearlyMore * fits[1].information;
  if (fits[2].information > std::max(after, fits[0].information)) {
    reasons_.push_back(
        fmt::format("{}: its inverse fits better (mutual information {:.3f} against {:.3f} nats): "
                    "does the file go the other way?",
                    file, fits[2].information, fits[1].information));
  } else if (fits[0].information > after) {
    reasons_.push_back(
        fmt::format("{}: the scans fit better without it (mutual information {:.3f} against {:.3f} "
                    "nats)",
                    file, fits[0].information, fits[1].information));
  }
  return result;
}

void ScanLabels::check_sides(const ScanInput& input, const Volume<float>& scan,
                             const Volume<float>& t1w, const Eigen::Matrix4d& scan_to_t1w) {
  const std::string cache_name = input.key() + " mirrored T1w";
  const auto known = shared_.recall(cache_name);
  const RegistrationResult mirrored = known ? *known : register_mirrored(scan, t1w);
  shared_.remember(cache_name, mirrored);
  if (const auto doubt = doubt_of(fit_of_sides(scan, t1w, scan_to_t1w, mirrored))) {
    reasons_.push_back(*doubt);
  }
}

void ScanLabels::deform_atlases(const ScanInput& input, const Volume<float>& scan, int threads) {
  const PrepareOptions& options = shared_.options();
  const std::string name = "from-T2w_to-template_deformable";
  const fs::path file = options.transforms / transform_file_name(input.key(), name);
  const Geometry& view = shared_.template_scan()->geometry;
  try {
    if (!options.transforms.empty() && fs::exists(file)) {
      const DeformableTransform read = read_deformable_transform(file);
      if ((read.affine - *affine_).norm() > 1e-6 * affine_->norm()) {
        throw core::InputError(
            fmt::format("{} holds another affine transform than the one that is used",
                        file.string()),
            "keep the affine and the deformable file of one run together");
      }
      deformation_ = read.deformation;
      jacobian_min_ = smallest_jacobian(*deformation_, view, kFoldStep_mm);
    } else {
      if (!options.transforms.empty()) {
        warnings_.push_back(fmt::format("{} does not exist; registering instead", file.string()));
      }
      const auto known = shared_.recall_deformation(input.key());
      DeformableResult found =
          known ? *known : register_deformable(scan, *shared_.template_scan(), *affine_);
      shared_.remember_deformation(input.key(), found);
      if (found.information_after <= found.information_before) {
        reasons_.push_back(name + ": the deformation did not raise the mutual information");
      }
      jacobian_min_ = found.jacobian_min;
      information_after_ += found.information_after - found.information_before;
      deformation_ = std::move(found.deformation);
    }
  } catch (const core::Error& error) {
    error.rethrow_in(name);
  }
  if (!(jacobian_min_ > 0)) {
    reasons_.push_back(
        fmt::format("{}: it folds (smallest Jacobian determinant {:.2f})", name, jacobian_min_));
  }
  for (std::size_t i = 0; i < shared_.atlases().size(); ++i) {
    own_.push_back(
        deformed_labels(shared_.atlases()[i], *deformation_, kDeformedSpacing_mm, threads));
    maps_.push_back({&own_.back(), *affine_, options.atlases[i], shared_.table().cso(), ""});
  }
}

std::optional<Eigen::Vector3d> ScanLabels::template_to_scan(const Eigen::Vector3d& point) const {
  if (!affine_ && !rigid_) return std::nullopt;
  const Eigen::Vector3d undeformed = deformation_ ? deformation_->inverse(point) : point;
  const Eigen::Matrix4d back = (affine_ ? *affine_ : *rigid_).inverse();
  return (back * undeformed.homogeneous()).head<3>();
}

}  // namespace epvs::data
