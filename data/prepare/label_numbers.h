// Numbers in a label map that the program it is said to come from does not write.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

/// Numbers (not 0) of the map that are foreign to `lut` (known_luts), sorted. synthseg and first:
/// their lists; fast: above 3; harvardoxford: above 21. freesurfer, atlas: what aseg writes below
/// 100, and 100 to 14999 (parcellations, subfields, nuclei), which are not looked at one by one.
/// Other tables: none, for a table of the user's names only what its regions need.
std::vector<std::int64_t> foreign_numbers(const Volume<std::int32_t>& labels,
                                          const std::string& lut);

/// "3 label numbers that 'freesurfer' does not have: 1, 6, 9"; empty when there are none.
std::string foreign_numbers_text(const Volume<std::int32_t>& labels, const std::string& lut);

}  // namespace epvs::data
