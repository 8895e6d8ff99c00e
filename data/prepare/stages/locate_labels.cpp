#include "data/prepare/stages/locate_labels.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <Eigen/LU>
#include <algorithm>

#include "core/error.h"
#include "core/program.h"
#include "data/prepare/registration/registration.h"
#include "data/prepare/registration/transform_file.h"
#include "data/prepare/stages/read_scan.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// One estimate of mutual information against another, both from the same points.
constexpr double kClearlyMore = 1.01;

constexpr const char* kDeformable = "from-T2w_to-template_deformable";

/// FAST's partial volume of white matter becomes label 1 where it is above one half; every other
/// map holds whole numbers.
Volume<std::int32_t> read_label_map(const fs::path& path, const std::string& lut,
                                    const OrientationRule& rule,
                                    std::vector<std::string>& concerns) {
  if (lut != "fast_pve") return read_label_image(path, rule, &concerns);
  const Volume<float> share = read_image(path, rule).image;
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

/// What locate_labels() works with for one scan.
struct Search {
  const ScanInput& input;
  const Volume<float>& scan;
  const SharedInputs& shared;
  KnownRegistrations& known;
  LocatedLabels found = {};
};

/// A transform of the user, and what speaks against it.
RegistrationResult read_aligned(Search& search, const FoundTransform& file,
                                const Volume<float>& moving) {
  RegistrationResult result;
  result.fixed_to_moving = read_found_transform(file, search.scan.geometry, moving.geometry);
  const std::vector<Similarity> fits = similarity(
      search.scan, moving,
      {Eigen::Matrix4d::Identity(), result.fixed_to_moving, result.fixed_to_moving.inverse()});
  result.information_before = fits[0].information;
  result.information_after = fits[1].information;
  result.overlap = fits[1].overlap;
  const std::string name = file.path.filename().string();
  const double after = kClearlyMore * fits[1].information;
  if (fits[2].information > std::max(after, fits[0].information)) {
    search.found.reasons.push_back(
        fmt::format("{}: its inverse fits better (mutual information {:.3f} against {:.3f} nats): "
                    "does the file go the other way?",
                    name, fits[2].information, fits[1].information));
  } else if (fits[0].information > after) {
    search.found.reasons.push_back(
        fmt::format("{}: the scans fit better without it (mutual information {:.3f} against {:.3f} "
                    "nats)",
                    name, fits[0].information, fits[1].information));
  }
  return result;
}

RegistrationResult registered(Search& search, const Volume<float>& moving, Motion motion,
                              const std::string& name) {
  const auto known = search.known.linear.find(name);
  RegistrationResult result = known != search.known.linear.end()
                                  ? known->second
                                  : register_volumes(search.scan, moving, motion);
  search.known.linear[name] = result;
  if (result.information_after <= result.information_before) {
    search.found.reasons.push_back(name + ": registration did not raise the mutual information");
  }
  return result;
}

/// The transform from the scan to `moving`: read where the user brought one, else found.
Eigen::Matrix4d align(Search& search, const Volume<float>& moving, Motion motion,
                      const TransformName& name, bool carries_labels) {
  const fs::path& folder = search.shared.options.transforms;
  RegistrationResult result;
  try {
    std::optional<FoundTransform> file;
    if (!folder.empty()) file = find_transform(folder, search.input.key(), name);
    if (!folder.empty() && !file) {
      search.found.warnings.push_back(
          fmt::format("{} does not exist; registering instead",
                      (folder / transform_file_name(search.input.key(), name.text())).string()));
    }
    result = file ? read_aligned(search, *file, moving)
                  : registered(search, moving, motion, name.text());
  } catch (const core::Error& error) {
    error.rethrow_in(name.text());
  }
  if (result.information_after < kLowInformation) {
    search.found.reasons.push_back(
        fmt::format("{}: mutual information of {:.2f} nats is low: different people, "
                    "or a failed registration",
                    name.text(), result.information_after));
  }
  if (carries_labels) {
    search.found.registered = true;
    search.found.fit.information_before = result.information_before;
    search.found.fit.information_after = result.information_after;
    search.found.fit.overlap = result.overlap;
  }
  search.found.transforms.push_back({name.text(), result.fixed_to_moving});
  return result.fixed_to_moving;
}

/// Adds a reason when the T1w scan is not of the same person, or one of the two is mirrored.
void check_sides(Search& search, const Volume<float>& t1w, const Eigen::Matrix4d& scan_to_t1w) {
  if (!core::find_program("elastix")) {  // the transform is the user's
    search.found.warnings.push_back(
        "elastix is not installed: not checked whether the T1w scan is of the same person");
    return;
  }
  const std::string name = "mirrored T1w";
  const auto known = search.known.linear.find(name);
  const RegistrationResult mirrored =
      known != search.known.linear.end() ? known->second : register_mirrored(search.scan, t1w);
  search.known.linear[name] = mirrored;
  if (const auto doubt = doubt_of(fit_of_sides(search.scan, t1w, scan_to_t1w, mirrored))) {
    search.found.reasons.push_back(*doubt);
  }
}

/// The deformation of the template's world, read where the user brought one with its affine, else
/// found, and what speaks against it.
Deformation deform(Search& search, const Eigen::Matrix4d& affine) {
  const fs::path& folder = search.shared.options.transforms;
  const fs::path file = folder / transform_file_name(search.input.key(), kDeformable);
  LabelFit& fit = search.found.fit;
  Deformation deformation;
  if (!folder.empty() && fs::exists(file)) {
    deformation = read_deformation(file);
    if ((deformation.affine - affine).norm() > 1e-6 * affine.norm()) {
      throw core::InputError(
          fmt::format("{} holds another affine transform than the one that is used", file.string()),
          "keep the affine and the deformable file of one run together");
    }
  } else {
    if (!folder.empty()) {
      search.found.warnings.push_back(
          fmt::format("{} does not exist; registering instead", file.string()));
    }
    if (!search.known.deformable) {
      search.known.deformable =
          register_deformable(search.scan, *search.shared.template_scan, affine);
    }
    const DeformableResult& found = *search.known.deformable;
    const double gain = found.information_after - found.information_before;
    if (gain <= 0) {
      search.found.reasons.push_back(
          fmt::format("{}: the deformation did not raise the mutual information", kDeformable));
    }
    fit.information_after += gain;
    deformation = found.deformation;
  }
  fit.jacobian_min = smallest_jacobian(deformation, search.shared.template_scan->geometry);
  if (!(fit.jacobian_min > 0)) {
    search.found.reasons.push_back(fmt::format(
        "{}: it folds (smallest Jacobian determinant {:.2f})", kDeformable, fit.jacobian_min));
  }
  return deformation;
}

void use_atlases(Search& search) {
  const SharedInputs& shared = search.shared;
  const Eigen::Matrix4d affine =
      align(search, *shared.template_scan, Motion::kAffine, {"T2w", "template", "affine"}, true);
  LocatedLabels& found = search.found;
  found.scan_to_template_affine = affine;
  for (const Atlas& atlas : shared.atlases) {
    found.maps.push_back({atlas.labels, affine, atlas.path, shared.table.cso(), ""});
  }
  if (shared.options.atlas_registration != AtlasRegistration::kDeformable) return;
  try {
    found.deformation = deform(search, affine);
    for (LabelMap& map : found.maps) {
      map.labels = std::make_shared<const Volume<std::int32_t>>(
          deformed_labels(*map.labels, *found.deformation));
    }
  } catch (const core::Error& error) {
    error.rethrow_in(kDeformable);
  }
}

void add_map(Search& search, const fs::path& path, const RegionTable& table,
             const Eigen::Matrix4d& scan_to_labels, const std::string& only) {
  std::vector<std::string>& reasons = search.found.reasons;
  auto labels = std::make_shared<Volume<std::int32_t>>(
      read_label_map(path, table.source(), search.shared.options.orientation(), reasons));
  const std::string foreign = foreign_numbers_text(*labels, table.source());
  if (!foreign.empty()) reasons.push_back(path.filename().string() + " has " + foreign);
  search.found.maps.push_back({labels, scan_to_labels, path.string(), table.cso(), only});
}

void use_label_maps(Search& search) {
  const SharedInputs& shared = search.shared;
  const PrepareOptions& options = shared.options;
  Eigen::Matrix4d to_labels = Eigen::Matrix4d::Identity();
  if (options.labels_space == LabelsSpace::kT1w) {
    const Scan t1w = read_image(required_t1w(search.input), options.orientation());
    for (const std::string& concern : t1w.header.concerns) {
      search.found.reasons.push_back("T1w: " + concern);
    }
    to_labels = align(search, t1w.image, Motion::kRigid, {"T2w", "T1w", "rigid"}, true);
    check_sides(search, t1w.image, to_labels);
  }
  add_map(search, label_file(search.input, options.labels), shared.table, to_labels, "");
  if (!options.white_matter.empty()) {
    add_map(search, labels_of(search.input, options.white_matter), shared.white_matter_table,
            to_labels, "cso");
  }
}

}  // namespace

std::string transform_file_name(const std::string& key, const std::string& name) {
  return fmt::format("{}_{}_xfm.txt", key, name);
}

LocatedLabels locate_labels(const ScanInput& input, const Volume<float>& scan,
                            const SharedInputs& shared, bool rigid, KnownRegistrations& known) {
  Search search{input, scan, shared, known};
  if (shared.options.uses_atlas()) {
    use_atlases(search);
  } else {
    use_label_maps(search);
  }
  if (rigid) {
    search.found.scan_to_template_rigid =
        align(search, *shared.template_scan, Motion::kRigid, {"T2w", "template", "rigid"}, false);
  }
  return std::move(search.found);
}

std::optional<Eigen::Vector3d> LocatedLabels::template_to_scan(const Eigen::Vector3d& point) const {
  if (!scan_to_template_affine && !scan_to_template_rigid) return std::nullopt;
  const Eigen::Matrix4d& there =
      scan_to_template_affine ? *scan_to_template_affine : *scan_to_template_rigid;
  const Eigen::Vector3d before = deformation ? undeformed(*deformation, point) : point;
  return (there.inverse() * before.homogeneous()).head<3>();
}

}  // namespace epvs::data
