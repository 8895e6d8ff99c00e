// One participant from files to smooth ROIs: read, check, find labels, cut regions, picture.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/image/inputs.h"
#include "data/image/prepare_options.h"
#include "data/store/cohort.h"
#include "data/volume/png.h"

namespace epvs::data {

/// What all participants share: the template and its atlases, read and checked once.
class SharedInputs {
 public:
  /// Throws InputError: unreadable files; an atlas that lies outside the template's field of view.
  explicit SharedInputs(const PrepareOptions& options);

  const PrepareOptions& options() const { return options_; }
  const Volume<float>* template_scan() const { return template_ ? &*template_ : nullptr; }
  const std::vector<Volume<std::int32_t>>& atlases() const { return atlases_; }
  /// Names what the result of one scan depends on beside the scan: hashes of template, atlases,
  /// weights.
  const core::Json& sources() const { return sources_; }
  /// What is odd about the template and the atlases, to be said once.
  const std::vector<std::string>& concerns() const { return concerns_; }

  /// Registrations of this run, so that a second pass over the scans need not repeat them.
  /// Thread-safe.
  std::optional<RegistrationResult> recall(const std::string& name) const;
  void remember(const std::string& name, const RegistrationResult& result) const;

 private:
  mutable std::mutex mutex_;
  mutable std::map<std::string, RegistrationResult> registrations_;
  PrepareOptions options_;
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

/// One line of the QC table.
struct QcRow {
  std::string participant_id;
  std::string session_id;
  std::string region;
  double volume_mm3 = 0;        ///< of the mask on the network's grid
  double label_volume_mm3 = 0;  ///< of the label voxels on the label map's own grid
  double cut_fraction = 0;      ///< of the region, by the scan's field of view
  double edge_fraction = 0;     ///< of the mask, at the edge of the field of view
  double outside_crop_fraction = 0;
  double intensity_min = 0;  ///< of the scan in the dilated region
  double intensity_max = 0;
  double mi_before = 0;  ///< nats; NaN without registration
  double mi_after = 0;
  double overlap = 0;
  double seconds = 0;                ///< of the participant, all regions
  std::vector<std::string> reasons;  ///< empty: ok

  core::Json to_json() const;
  static QcRow from_json(const core::Json& document);
};

struct PreparedScan {
  std::vector<PreparedRegion> regions;
  std::vector<QcRow> qc;
  std::vector<NamedTransform> transforms;
  std::vector<std::string> warnings;
  Picture picture;
};

/// Throws InputError with the participant's trouble: unreadable, not finite, constant, no labels,
/// an empty or missing region. Uses up to `threads` threads; the result does not depend on their
/// number.
PreparedScan prepare_scan(const ScanInput& input, const SharedInputs& shared,
                          const std::vector<PreprocessingOptions>& regions, int threads);

/// Only the extents of the regions' masks (x, y, z in voxels), in the order of `regions`.
std::vector<Shape> region_extents(const ScanInput& input, const SharedInputs& shared,
                                  const std::vector<PreprocessingOptions>& regions, int threads);

}  // namespace epvs::data
