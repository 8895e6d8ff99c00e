// TorchScript files of our networks.
#pragma once

#include <filesystem>

namespace epvs::models {

/// Exports a weights file as TorchScript: forward(volume (N, 1, Z, Y, X)) -> score (N), and for
/// gp_unet a method attention(volume) -> (N, 1, Z, Y, X). The file's extra entry "epvs.json"
/// describes the network. Atomic. Throws as load_weights.
void write_torchscript(const std::filesystem::path& weights, const std::filesystem::path& out);

}  // namespace epvs::models
