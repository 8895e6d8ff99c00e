// A picture of what augmentation does, to look at before a long training.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/formats/png.h"
#include "models/cohort_tensors.h"
#include "models/torch.h"
#include "train/options.h"

namespace epvs::train {

/// One row per scan of `rows`: the middle axial slice as it is, then as `draws` epochs of a
/// training with this seed would see it. The grey window of a row is that of the original.
data::Picture augmentation_sheet(const models::VolumeSource& source,
                                 const std::vector<std::size_t>& rows,
                                 const AugmentationOptions& options, std::uint64_t seed, int draws,
                                 const std::array<double, 3>& spacing_mm);

/// The middle axial slice of (1, 1, Z, Y, X), its window from its own 0.5 and 99.5 percentiles.
data::Picture middle_slice(const torch::Tensor& volume, const std::array<double, 3>& spacing_mm);

}  // namespace epvs::train
