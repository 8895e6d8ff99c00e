// Stage 3 of prepare: from label maps to the mask of a region on the network's grid of a scan.
//
// Three worlds meet here, all in RAS+ mm: that of the network's grid, that of the scan, and that of
// the label map. Without registration the first two are one.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <string>
#include <vector>

#include "data/cohort/preprocessing.h"
#include "data/formats/volume.h"
#include "data/prepare/inputs/label_tables.h"

namespace epvs::data {

/// A label map and the way to it from the scan.
struct LabelMap {
  std::shared_ptr<const Volume<std::int32_t>> labels;
  Eigen::Matrix4d scan_to_labels = Eigen::Matrix4d::Identity();  ///< world mm -> world mm
  std::string name;                                              ///< for messages
  /// Numbers of the ventricles and the caudate in this map.
  CsoLabels landmarks = RegionTable::preset("freesurfer").cso();
  /// The only region that is cut out of this map; empty: all but those that have a map of their
  /// own.
  std::string only = {};
};

struct RegionRules {
  bool nearest = false;  ///< nearest label instead of the region's mask interpolated linearly
  /// Centrum semiovale: centre of the slab above the top of the lateral ventricles (of the caudate
  /// where the map has no ventricle), and its thickness.
  double cso_above_mm = 10.0;
  double cso_slab_mm = 5.0;
};

/// The network's grid and where the scan is from there.
struct NetworkSpace {
  Geometry grid;
  Eigen::Matrix4d network_to_scan = Eigen::Matrix4d::Identity();
};

struct RegionOnGrid {
  Volume<std::uint8_t> hard;  ///< on a box of the network's grid, large enough for the smooth ROI
  Shape box_origin = {0, 0, 0};  ///< of the box in the network's grid
  double label_volume_mm3 = 0;   ///< of the label voxels, on the label map's own grid and scale
  double fraction_outside = 0;   ///< of the region, outside the field of view of the scan
};

/// Cuts the region out of the first map that has it; the ventricles or the caudate below cso are
/// found in the first map that has them. The box holds the region, the crop and the
/// reach of dilation and Gaussian, so the smooth ROI equals that of the whole grid.
///
/// Throws InputError: no map has the labels (naming the maps); the region lies wholly outside the scan (labels of
/// somebody else, or in another space); more than half of it is outside.
RegionOnGrid cut_region(const std::vector<LabelMap>& maps, const PreprocessingOptions& options,
                        const NetworkSpace& space, const Geometry& scan, const RegionRules& rules,
                        int threads);

/// Size in voxels (x, y, z) of the smallest crop around the centre of mass that holds the whole
/// mask.
Shape region_extent(const RegionOnGrid& region);

}  // namespace epvs::data
