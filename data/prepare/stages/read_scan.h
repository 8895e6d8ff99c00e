// Stage 1 of prepare: the scan of a participant, checked, and what its sidecars say.
// Orientations that headers leave open are settled or refused here, never guessed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/formats/nifti.h"
#include "data/formats/orientation.h"
#include "data/prepare/inputs/inputs.h"

namespace epvs::data {

struct ReadScan {
  Scan scan;
  core::Json facts;    ///< sidecar_facts()
  std::string sha256;  ///< of the file
};

/// Throws InputError naming the file: unreadable, orientation open, voxels not finite (with the
/// first of them), constant.
ReadScan read_checked_scan(const ScanInput& input, const OrientationRule& rule);

/// Any image of the user's, its orientation settled. Throws InputError as read_scan and
/// settle_orientation.
Scan read_image(const std::filesystem::path& path, const OrientationRule& rule);
/// A label map. What is odd about its header goes to `concerns`, with its name.
Volume<std::int32_t> read_label_image(const std::filesystem::path& path,
                                      const OrientationRule& rule,
                                      std::vector<std::string>* concerns = nullptr);

/// Of the sidecar of a scan those facts that describe a cohort, under their BIDS names:
/// SliceThickness and SpacingBetweenSlices (mm), MagneticFieldStrength (T), Manufacturer,
/// ManufacturersModelName. Sidecars of folders above apply too (BIDS inheritance: same suffix, no
/// entity that the scan does not have), up to the folder with dataset_description.json; the nearest
/// one wins. An empty object when nothing is known: nothing is guessed from the image.
/// Throws InputError for a sidecar that is not a JSON object, or a fact of the wrong type.
core::Json sidecar_facts(const std::filesystem::path& scan);

}  // namespace epvs::data
