// A small label map in FreeSurfer's numbers for tests: two caudates, a ventricle, white matter
// above.
#pragma once

#include <memory>

#include "data/formats/volume.h"

namespace epvs::tests {

/// For a grid of 40 x 40 x 50 voxels. Caudate 11 and 50: 6 x 12 x 8 voxels each, x from 10 and 24,
/// y from 12, z from 10. Ventricle 4: z 18 to 21. White matter 2: 30 x 30 voxels, z 24 to 45.
inline data::Volume<std::int32_t> block_labels(const data::Geometry& geometry) {
  data::Volume<std::int32_t> labels(geometry);
  const auto fill = [&](data::Shape low, data::Shape high, std::int32_t label) {
    for (std::int64_t z = low[2]; z < high[2]; ++z) {
      for (std::int64_t y = low[1]; y < high[1]; ++y) {
        for (std::int64_t x = low[0]; x < high[0]; ++x) labels.at(x, y, z) = label;
      }
    }
  };
  fill({5, 5, 24}, {35, 35, 46}, 2);
  fill({10, 12, 10}, {16, 24, 18}, 11);
  fill({24, 12, 10}, {30, 24, 18}, 50);
  fill({18, 12, 18}, {22, 24, 22}, 4);
  return labels;
}

/// A label map of a test's own as cut_region() wants it; it must outlive the pointer.
inline std::shared_ptr<const data::Volume<std::int32_t>> unowned(
    const data::Volume<std::int32_t>& labels) {
  return {std::shared_ptr<void>(), &labels};
}

}  // namespace epvs::tests
