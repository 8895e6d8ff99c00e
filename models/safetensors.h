// The safetensors file format without Torch: 8 bytes little-endian length, a JSON header padded
// with spaces to 8 bytes, raw little-endian data. https://github.com/huggingface/safetensors
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"

namespace epvs::models {

struct TensorEntry {
  std::string name;
  std::string dtype;  ///< F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  ///< bytes from the start of the data
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;             ///< in the order of their data
  std::map<std::string, std::string> metadata;  ///< "__metadata__"
  std::uint64_t data_offset = 0;                ///< bytes from the start of the file
};

/// Bytes of one element. Throws InputError for an unknown dtype.
std::size_t dtype_bytes(const std::string& dtype);

/// Reads and checks the header. Throws InputError naming the file: missing, no safetensors file,
/// cut short (bytes expected and found), overlapping tensors, a size that does not fit shape and
/// dtype.
SafetensorsHeader read_safetensors_header(const std::filesystem::path& path);

/// Reads the data of one tensor into `destination` (end - begin bytes).
void read_safetensors_data(const std::filesystem::path& path, const SafetensorsHeader& header,
                           const TensorEntry& tensor, void* destination);

/// One tensor to write; `data` are its contiguous little-endian elements.
struct TensorToWrite {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  const void* data = nullptr;
};

/// Atomic; throws RunError when the disk is full.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace epvs::models
