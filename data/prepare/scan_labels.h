// Where the labels of one scan come from, and how the scan reaches them: a label map in its own
// space, one in the space of the T1w scan (rigid registration), or atlases on a template (affine).
#pragma once

#include <list>
#include <optional>
#include <string>
#include <vector>

#include "data/prepare/prepare_scan.h"
#include "data/prepare/registration/transform_search.h"

namespace epvs::data {

class ScanLabels {
 public:
  /// Reads the label map or registers. `rigid`: the rigid motion to the template is needed too.
  /// Transforms of options().transforms are used instead of registering where they exist.
  ScanLabels(const ScanInput& input, const Volume<float>& scan, const SharedInputs& shared,
             bool rigid, int threads = 1);
  ScanLabels(const ScanLabels&) = delete;
  ScanLabels& operator=(const ScanLabels&) = delete;

  const std::vector<LabelMap>& maps() const { return maps_; }
  /// Whether a transform (found or read) lies between the scan and the labels.
  bool labels_are_registered() const { return labels_are_registered_; }
  const std::vector<NamedTransform>& transforms() const { return transforms_; }
  /// The deformation with its affine transform, to be saved; null without one.
  const Deformation* deformation() const { return deformation_ ? &*deformation_ : nullptr; }
  /// Why a person should look at this registration; empty when nothing is wrong.
  const std::vector<std::string>& reasons() const { return reasons_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// Where a point of the template's world lies in the scan: by the affine transform and the
  /// deformation where known, else by the rigid motion; nothing without any.
  std::optional<Eigen::Vector3d> template_to_scan(const Eigen::Vector3d& point) const;
  const Eigen::Matrix4d& scan_to_template_rigid() const { return *rigid_; }

  /// Of the transform that carries the labels, found or read; NaN without one.
  double information_before() const { return information_before_; }
  double information_after() const { return information_after_; }
  double overlap() const { return overlap_; }
  /// Of the deformation of the atlas route; NaN without one. Not positive: it folds.
  double jacobian_min() const { return jacobian_min_; }

 private:
  Eigen::Matrix4d align(const ScanInput& input, const Volume<float>& scan,
                        const Volume<float>& moving, const RegistrationOptions& options,
                        const TransformName& name, bool carries_labels);
  /// A transform of the user, and what speaks against it.
  RegistrationResult read_aligned(const FoundTransform& found, const Volume<float>& scan,
                                  const Volume<float>& moving, const RegistrationOptions& options);

  /// Adds a reason when the T1w scan is not of the same person, or one of the two is mirrored.
  void check_sides(const ScanInput& input, const Volume<float>& scan, const Volume<float>& t1w,
                   const Eigen::Matrix4d& scan_to_t1w);
  /// The deformable stage: finds or reads the deformation and sees the atlases through it.
  void deform_atlases(const ScanInput& input, const Volume<float>& scan, int threads);

  const SharedInputs& shared_;
  std::list<Volume<std::int32_t>> own_;  ///< read or deformed for this scan
  std::vector<LabelMap> maps_;
  std::vector<NamedTransform> transforms_;
  std::vector<std::string> reasons_;
  std::vector<std::string> warnings_;
  std::optional<Eigen::Matrix4d> affine_;
  std::optional<Eigen::Matrix4d> rigid_;
  bool labels_are_registered_ = false;
  std::optional<Deformation> deformation_;
  double information_before_ = 0;
  double information_after_ = 0;
  double overlap_ = 0;
  double jacobian_min_ = 0;
};

/// "sub-01_from-T2w_to-template_affine_xfm.txt": the file of a transform.
std::string transform_file_name(const std::string& key, const std::string& name);

}  // namespace epvs::data
