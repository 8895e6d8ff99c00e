#include "data/image/scan_labels.h"

#include <fmt/format.h>

#include <limits>

#include "core/error.h"
#include "data/image/registration.h"
#include "data/image/transform_file.h"
#include "data/nifti/nifti.h"

namespace epvs::data {

namespace fs = std::filesystem;

std::string transform_file_name(const std::string& key, const std::string& name) {
  return fmt::format("{}_{}_xfm.txt", key, name);
}

ScanLabels::ScanLabels(const ScanInput& input, const Volume<float>& scan,
                       const SharedInputs& shared, bool rigid)
    : shared_(shared) {
  const PrepareOptions& options = shared.options();
  information_before_ = std::numeric_limits<double>::quiet_NaN();
  information_after_ = information_before_;
  overlap_ = information_before_;
  if (options.uses_atlas()) {
    affine_ = align(input, scan, *shared.template_scan(), options.affine_registration(),
                    "from-T2w_to-template_affine", true);
    for (std::size_t i = 0; i < shared.atlases().size(); ++i) {
      maps_.push_back({&shared.atlases()[i], *affine_, options.atlases[i]});
    }
  } else {
    const fs::path path = input.labels.empty() ? labels_of(input, options.labels) : input.labels;
    own_.push_back(read_labels(path));
    Eigen::Matrix4d to_labels = Eigen::Matrix4d::Identity();
    if (options.labels_space == "t1w") {
      if (input.t1w.empty()) {
        throw core::InputError(
            fmt::format("{} has no T1w scan, but its labels are in T1w space", input.key()),
            "add the T1w scan, or give labels in the space of the T2w scan");
      }
      const Scan t1w = read_scan(input.t1w);
      to_labels = align(input, scan, t1w.image, options.rigid_registration(),
                        "from-T2w_to-T1w_rigid", true);
    }
    maps_.push_back({&own_.back(), to_labels, path.string()});
  }
  if (rigid) {
    rigid_ = align(input, scan, *shared.template_scan(), options.rigid_registration(),
                   "from-T2w_to-template_rigid", false);
  }
}

Eigen::Matrix4d ScanLabels::align(const ScanInput& input, const Volume<float>& scan,
                                  const Volume<float>& moving, const RegistrationOptions& options,
                                  const std::string& name, bool carries_labels) {
  const fs::path& folder = shared_.options().transforms;
  const fs::path file = folder / transform_file_name(input.key(), name);
  if (!folder.empty() && fs::exists(file)) {
    transforms_.push_back({name, read_itk_transform(file)});
    return transforms_.back().matrix;
  }
  if (!folder.empty()) {
    warnings_.push_back(fmt::format("{} does not exist; registering instead", file.string()));
  }
  RegistrationResult result;
  const std::string cache_name = input.key() + " " + name;
  try {
    const auto known = shared_.recall(cache_name);
    result = known ? *known : register_volumes(scan, moving, options);
    shared_.remember(cache_name, result);
  } catch (const core::Error& error) {
    error.rethrow_in(name);
  }
  if (result.information_after <= result.information_before) {
    reasons_.push_back(name + ": registration did not raise the mutual information");
  }
  if (result.information_after < kLowInformation) {
    reasons_.push_back(
        fmt::format("{}: mutual information of {:.2f} nats is low: different people, "
                    "or a failed registration",
                    name, result.information_after));
  }
  if (carries_labels) {
    information_before_ = result.information_before;
    information_after_ = result.information_after;
    overlap_ = result.overlap;
  }
  transforms_.push_back({name, result.fixed_to_moving});
  return result.fixed_to_moving;
}

std::optional<Eigen::Matrix4d> ScanLabels::scan_to_template() const {
  return affine_ ? affine_ : rigid_;
}

}  // namespace epvs::data
