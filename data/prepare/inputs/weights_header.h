// The preprocessing that a weights file expects, read from its header alone: no Torch.
#pragma once

#include <filesystem>

#include "data/cohort/preprocessing.h"

namespace epvs::data {

/// A .safetensors file starts with the length of its header (8 bytes, little endian) and the header
/// as JSON; member "epvs" of its "__metadata__" is a JSON text whose "preprocessing" is
/// PreprocessingOptions::to_json(). Throws InputError naming the file when any of this is not so.
PreprocessingOptions read_weights_preprocessing(const std::filesystem::path& path);

}  // namespace epvs::data
