// The HDF5 filters of a cohort's chunks (shuffle, then deflate), done by us outside of HDF5's lock
// so that several threads compress and decompress at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace epvs::data {

struct EncodedChunk {
  std::vector<unsigned char> bytes;
  /// HDF5's filter mask: bit i set = filter i of the pipeline was skipped.
  std::uint32_t filter_mask = 0;
};

/// `element_bytes` 1: pipeline {deflate}; otherwise {shuffle, deflate}. Deflate is skipped, as HDF5
/// does, when it does not make the chunk smaller.
EncodedChunk encode_chunk(std::span<const unsigned char> data, std::size_t element_bytes);

/// Undoes encode_chunk (or HDF5's own filters). Nothing when the bytes are damaged (zlib's
/// checksum) or do not give `data_bytes` bytes.
std::optional<std::vector<unsigned char>> decode_chunk(const EncodedChunk& chunk,
                                                       std::size_t element_bytes,
                                                       std::size_t data_bytes);

/// float32 <-> IEEE half precision, round to nearest even; beyond 65504 becomes infinity.
std::vector<std::uint16_t> to_float16(std::span<const float> values);
std::vector<float> from_float16(std::span<const std::uint16_t> values);

}  // namespace epvs::data
