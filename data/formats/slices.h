// The slices of a scan: along which stored axis they are stacked.
#pragma once

#include <cstddef>

#include "data/formats/volume.h"

namespace epvs::data {

/// The stored axis that runs through the slices: the one with the largest spacing; where that is
/// not 1% larger than the others, the axis nearest to inferior-superior.
std::size_t slice_axis(const Geometry& geometry);

}  // namespace epvs::data
