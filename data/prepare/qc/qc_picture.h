// The picture of one scan that a person looks at: is the scan good, do the contours lie on the
// structures, before and after registration?
#pragma once

#include <Eigen/Core>
#include <optional>
#include <string>
#include <vector>

#include "data/formats/png.h"

namespace epvs::data {

struct QcRegion {
  std::string name;
  double volume_mm3 = 0;
  Volume<std::uint8_t> mask;  ///< on the canonical grid of the scan
};

struct QcPicture {
  std::string key;  ///< "sub-01_ses-2"
  /// World of the scan -> world of the labels, where a registration carried the labels: the
  /// contours are then also drawn as the headers alone lay them.
  std::optional<Eigen::Matrix4d> scan_to_labels;
  double mi_before = 0;  ///< nats; NaN: not said
  double mi_after = 0;
};

/// Rows, from above: the name and size of the scan, a legend of colours, volumes and sides; the
/// plain scan in three planes; with a registration the contours before it; the contours as used;
/// per region five axial slices of its surroundings. About 930 pixels wide.
Picture draw_qc_picture(const QcPicture& what, const Volume<float>& canonical_scan,
                        const std::vector<QcRegion>& regions, int threads = 1);

/// Colour of the region with this index, in pictures and on the page.
Colour qc_colour(std::size_t index);

}  // namespace epvs::data
