// One participant from files to smooth ROIs: read, check, find labels, cut regions, picture.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/cohort/cohort.h"
#include "data/formats/png.h"
#include "data/prepare/inputs/inputs.h"
#include "data/prepare/prepare_options.h"
#include "data/prepare/qc/qc_row.h"
#include "data/prepare/registration/deformable_registration.h"

namespace epvs::data {

/// What all participants share: the template and its atlases, read and checked once.
class SharedInputs {
 public:
  /// Throws InputError: unreadable files; an atlas that lies outside the template's field of view.
  explicit SharedInputs(const PrepareOptions& options);

  const PrepareOptions& options() const { return options_; }
  const Volume<float>* template_scan() const { return template_ ? &*template_ : nullptr; }
  const std::vector<Volume<std::int32_t>>& atlases() const { return atlases_; }
  /// Numbers of the label maps or atlases, and those of --white-matter.
  const RegionTable& table() const { return table_; }
  const RegionTable& white_matter_table() const { return white_matter_table_; }
  /// Names what the result of one scan depends on beside the scan: hashes of template, atlases,
  /// weights.
  const core::Json& sources() const { return sources_; }
  /// What is odd about the template and the atlases, to be said once.
  const std::vector<std::string>& concerns() const { return concerns_; }

  /// Registrations of this run, so that a second pass over the scans need not repeat them.
  /// Thread-safe.
  std::optional<RegistrationResult> recall(const std::string& name) const;
  void remember(const std::string& name, const RegistrationResult& result) const;
  std::optional<DeformableResult> recall_deformation(const std::string& key) const;
  void remember_deformation(const std::string& key, const DeformableResult& result) const;

 private:
  mutable std::mutex mutex_;
  mutable std::map<std::string, DeformableResult> deformations_;
  mutable std::map<std::string, RegistrationResult> registrations_;
  PrepareOptions options_;
  RegionTable table_;
  RegionTable white_matter_table_;
  std::optional<Volume<float>> template_;
  std::vector<Volume<std::int32_t>> atlases_;
  core::Json sources_;
  std::vector<std::string> concerns_;
};

/// A transform that was found or read for one scan, to be saved.
struct NamedTransform {
  std::string name;  ///< "from-T2w_to-template_affine"
  Eigen::Matrix4d matrix;
};

struct PreparedRegion {
  PreprocessingOptions options;
  CohortRow row;
  CohortVolumes volumes;
  Shape extent = {0, 0, 0};  ///< of the mask, in voxels of the network's grid
};

struct PreparedScan {
  std::vector<PreparedRegion> regions;
  std::vector<QcRow> qc;
  std::vector<NamedTransform> transforms;
  /// Of the template's world, after from-T2w_to-template_affine.
  std::optional<Deformation> deformation;
  std::vector<std::string> warnings;
  core::Json facts;  ///< sidecar_facts of the scan
  Picture picture;
};

/// Is the scan divided by its bias field first?
bool corrects_bias(const std::vector<PreprocessingOptions>& regions);

/// Throws InputError with the participant's trouble: unreadable, not finite, constant, no labels,
/// an empty or missing region. Uses up to `threads` threads; the result does not depend on their
/// number.
PreparedScan prepare_scan(const ScanInput& input, const SharedInputs& shared,
                          const std::vector<PreprocessingOptions>& regions, int threads);

/// Only the extents of the regions' masks (x, y, z in voxels), in the order of `regions`.
std::vector<Shape> region_extents(const ScanInput& input, const SharedInputs& shared,
                                  const std::vector<PreprocessingOptions>& regions, int threads);

}  // namespace epvs::data
