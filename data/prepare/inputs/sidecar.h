// What the JSON files of a BIDS dataset say about how a scan was made.
#pragma once

#include <filesystem>

#include "core/json.h"

namespace epvs::data {

/// Of the sidecar of a scan those facts that describe a cohort, under their BIDS names:
/// SliceThickness and SpacingBetweenSlices (mm), MagneticFieldStrength (T), Manufacturer,
/// ManufacturersModelName. Sidecars of folders above apply too (BIDS inheritance: same suffix, no
/// entity that the scan does not have), up to the folder with dataset_description.json; the nearest
/// one wins. An empty object when nothing is known: nothing is guessed from the image.
/// Throws InputError for a sidecar that is not a JSON object, or a fact of the wrong type.
core::Json sidecar_facts(const std::filesystem::path& scan);

}  // namespace epvs::data
