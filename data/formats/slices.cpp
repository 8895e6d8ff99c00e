#include "data/formats/slices.h"

namespace epvs::data {

std::size_t slice_axis(const Geometry& geometry) {
  const Eigen::Vector3d spacing = geometry.spacing_mm();
  Eigen::Index thickest = 0;
  const double largest = spacing.maxCoeff(&thickest);
  for (Eigen::Index axis = 0; axis < 3; ++axis) {
    if (axis != thickest && largest < 1.01 * spacing[axis]) {
      return static_cast<std::size_t>(canonical_axes(geometry).axis[2]);
    }
  }
  return static_cast<std::size_t>(thickest);
}

}  // namespace epvs::data
