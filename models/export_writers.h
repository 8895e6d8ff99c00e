// Our networks in formats of other frameworks. Both writers are atomic.
#pragma once

#include <filesystem>

namespace epvs::models {

/// Exports a weights file as ONNX (opset 13, IR version 7, float32): input `volume` (N, 1, Z, Y, X)
/// with free N, output `score` (N), for gp_unet also `attention` (N, 1, Z, Y, X). The description
/// of the network (the "epvs" JSON of the weights) is kept as a metadata property. Throws
/// InputError for weights that cannot be read or do not fit their own description.
void write_onnx(const std::filesystem::path& weights, const std::filesystem::path& out);

/// Exports a weights file as TorchScript: forward(volume (N, 1, Z, Y, X)) -> score (N), and for
/// gp_unet a method attention(volume) -> (N, 1, Z, Y, X). The file's extra entry "epvs.json"
/// describes the network. Throws as load_weights.
void write_torchscript(const std::filesystem::path& weights, const std::filesystem::path& out);

}  // namespace epvs::models
