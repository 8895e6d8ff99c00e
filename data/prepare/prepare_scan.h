// One participant from files to smooth ROIs, in five stages (data/prepare/stages):
//
//   1 read_checked_scan   the scan and what its sidecars say
//   2 locate_labels       label maps, and the transforms from the scan to them
//   3 cut_region          the mask of a region on the network's grid
//   4 smooth_roi          what the network sees
//   5 record              row of the cohort, numbers and picture for a person
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/formats/png.h"
#include "data/prepare/inputs/inputs.h"
#include "data/prepare/stages/locate_labels.h"
#include "data/prepare/stages/record.h"
#include "data/prepare/stages/shared_inputs.h"

namespace epvs::data {

/// A region that could not be made of a scan whose other regions could.
struct MissingRegion {
  std::string region;
  std::string error;
  std::string hint;
};

struct PreparedScan {
  std::vector<PreparedRegion> regions;
  std::vector<MissingRegion> missing;
  std::vector<NamedTransform> transforms;
  std::optional<Deformation> deformation;
  std::vector<std::string> warnings;
  core::Json facts;  ///< sidecar_facts of the scan
  Picture picture;
};

/// Throws InputError with the participant's trouble: unreadable, not finite, constant, no labels,
/// no region that can be made (one of several goes to `missing`). Uses up to `threads` threads; the
/// result does not depend on their number. `known`: registrations of an earlier pass.
PreparedScan prepare_scan(const ScanInput& input, const SharedInputs& shared,
                          const std::vector<PreprocessingOptions>& regions, int threads,
                          KnownRegistrations known = {});

/// Stages 3 to 5 for one region of a scan that is in memory: what prepare_scan() and the phantom
/// share. Throws InputError as cut_region() and smooth_roi().
PreparedRegion prepare_region(const Volume<float>& scan, const std::vector<LabelMap>& maps,
                              const NetworkSpace& space, const ScanOrigin& origin,
                              const PreprocessingOptions& options, const RegionRules& rules,
                              int threads);

/// Only the extents of the regions' masks (x, y, z in voxels of the network's grid), in the order
/// of `regions`. Adds to `known`.
std::vector<Shape> region_extents(const ScanInput& input, const SharedInputs& shared,
                                  const std::vector<PreprocessingOptions>& regions, int threads,
                                  KnownRegistrations& known);

}  // namespace epvs::data
