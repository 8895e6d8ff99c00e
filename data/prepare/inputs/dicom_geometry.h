// From the positions of slices to one grid.
#pragma once

#include <string>
#include <vector>

#include "data/formats/volume.h"
#include "data/prepare/inputs/dicom_header.h"

namespace epvs::data {

/// Sorts the slices along their normal and returns the grid they form: voxel (column, row, slice)
/// -> RAS+ mm. A stack that leans (gantry tilt) gives an affine with shear.
///
/// Throws InputError naming two files and what differs: another size, orientation or pixel
/// spacing; a position twice; a gap where a slice is missing; gaps that vary; slices beside the
/// line of the others. Also: fewer than two slices, no position or orientation, colours, mosaics.
Geometry stack_slices(std::vector<DicomFrame>& slices, std::vector<std::string>& warnings);

}  // namespace epvs::data
