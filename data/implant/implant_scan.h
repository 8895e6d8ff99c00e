// One scan with EPVS implanted: from files to tubes and the voxels that they fill.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/formats/voxel_edit.h"
#include "data/implant/place.h"
#include "data/prepare/prepare_scan.h"

namespace epvs::data {

/// One EPVS as the scan shows it.
struct RenderedImplant {
  Implant implant;
  std::vector<FilledVoxel> voxels;
  double peak_fraction = 0;                 ///< of its fullest voxel
  std::optional<bool> in_commissure_slice;  ///< nothing where no template tells the slice
};

/// What a region of a scan was given.
struct RegionImplants {
  std::string region;
  std::vector<RenderedImplant> implants;  ///< may be fewer than wanted
};

struct ImplantedScan {
  ScanContrast contrast;
  double slice_thickness_mm = 0;
  PointSpread spread;
  double midline_x = 0;  ///< world of the scan
  std::vector<RegionImplants> regions;
  std::vector<MissingRegion> missing;
  std::vector<NamedTransform> transforms;
  std::optional<Deformation> deformation;
  std::vector<std::string> warnings;
};

/// Finds the regions as `epvs prepare` does and fills each with the largest of options.counts. The
/// slice is as thick as the scan's sidecar says, else as far as slices are apart. Throws InputError
/// as read_checked_scan(), locate_labels() and measure_contrast(), and when no region can be filled
/// (one of several goes to `missing`): cut_region(), no room for a single EPVS.
ImplantedScan implant_scan(const ScanInput& input, const SharedInputs& shared,
                           const std::vector<PreprocessingOptions>& regions,
                           const ImplantOptions& options, std::uint64_t seed, int threads);

/// What the first `count` EPVS of every region add to the scan.
std::vector<VoxelChange> changes_of(const ImplantedScan& scan, std::int64_t count);

}  // namespace epvs::data
