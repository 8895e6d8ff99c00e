// Stage 2 of prepare: where the labels of a scan come from, and how the scan reaches them: a label
// map in its own space, one in the space of the T1w scan (rigid registration), or atlases on a
// template (affine, perhaps deformable).
#pragma once

#include <Eigen/Core>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/prepare/inputs/inputs.h"
#include "data/prepare/registration/deformation.h"
#include "data/prepare/registration/registration.h"
#include "data/prepare/stages/cut_region.h"
#include "data/prepare/stages/shared_inputs.h"

namespace epvs::data {

/// A transform that was found or read for one scan, to be saved.
struct NamedTransform {
  std::string name;  ///< "from-T2w_to-template_affine"
  Eigen::Matrix4d matrix;
};

/// How well the transform that carries the labels fits; NaN where the labels are in the scan's own
/// space.
struct LabelFit {
  double information_before = std::numeric_limits<double>::quiet_NaN();  ///< nats
  double information_after = std::numeric_limits<double>::quiet_NaN();   ///< nats
  double overlap = std::numeric_limits<double>::quiet_NaN();             ///< share of the points
  /// Of the deformation; NaN without one. Not positive: it folds.
  double jacobian_min = std::numeric_limits<double>::quiet_NaN();
};

struct LocatedLabels {
  std::vector<LabelMap> maps;
  bool registered = false;  ///< a transform lies between the scan and the labels
  LabelFit fit;
  std::vector<NamedTransform> transforms;
  std::optional<Eigen::Matrix4d> scan_to_template_affine;
  std::optional<Eigen::Matrix4d> scan_to_template_rigid;
  std::optional<Deformation> deformation;  ///< of the template's world, after the affine
  std::vector<std::string> reasons;        ///< why a person should look at this scan
  std::vector<std::string> warnings;       ///< said, but no reason to look

  /// Where a point of the template's world lies in the scan, by the affine transform and the
  /// deformation where they are known, else by the rigid one; nothing without any.
  std::optional<Eigen::Vector3d> template_to_scan(const Eigen::Vector3d& point) const;
};

/// Registrations of a scan by name, so that a second pass over the scans need not repeat them.
struct KnownRegistrations {
  std::map<std::string, RegistrationResult> linear;
  std::optional<DeformableResult> deformable;
};

/// Reads the label maps, or registers. `rigid`: the rigid motion to the template is needed too.
/// Transforms of options.transforms are used instead of registering where they exist; `known` is
/// read and added to. Throws InputError: no label map, no T1w scan, scans that do not overlap.
LocatedLabels locate_labels(const ScanInput& input, const Volume<float>& scan,
                            const SharedInputs& shared, bool rigid, KnownRegistrations& known);

/// "sub-01_from-T2w_to-template_affine_xfm.txt": the file of a transform.
std::string transform_file_name(const std::string& key, const std::string& name);

}  // namespace epvs::data
