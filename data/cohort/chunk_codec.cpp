#include "data/cohort/chunk_codec.h"

#include <zlib.h>

#include <Eigen/Core>
#include <bit>

#include "core/error.h"

namespace epvs::data {

static_assert(std::endian::native == std::endian::little, "chunks are written little endian");

namespace {

constexpr int kDeflateLevel = 1;

/// Byte j of every element in turn: HDF5's H5Z_FILTER_SHUFFLE.
std::vector<unsigned char> shuffle(std::span<const unsigned char> data, std::size_t element_bytes) {
  const std::size_t count = data.size() / element_bytes;
  std::vector<unsigned char> result(data.size());
  for (std::size_t byte = 0; byte < element_bytes; ++byte) {
    unsigned char* out = result.data() + byte * count;
    for (std::size_t i = 0; i < count; ++i) out[i] = data[i * element_bytes + byte];
  }
  return result;
}

std::vector<unsigned char> unshuffle(std::span<const unsigned char> data,
                                     std::size_t element_bytes) {
  const std::size_t count = data.size() / element_bytes;
  std::vector<unsigned char> result(data.size());
  for (std::size_t byte = 0; byte < element_bytes; ++byte) {
    const unsigned char* in = data.data() + byte * count;
    for (std::size_t i = 0; i < count; ++i) result[i * element_bytes + byte] = in[i];
  }
  return result;
}

}  // namespace

EncodedChunk encode_chunk(std::span<const unsigned char> data, std::size_t element_bytes) {
  EPVS_ASSERT(element_bytes > 0 && data.size() % element_bytes == 0);
  const bool shuffled = element_bytes > 1;
  std::vector<unsigned char> plain = shuffled
                                         ? shuffle(data, element_bytes)
                                         : std::vector<unsigned char>(data.begin(), data.end());
  EncodedChunk chunk;
  uLongf size = compressBound(static_cast<uLong>(plain.size()));
  chunk.bytes.resize(size);
  const int status = compress2(chunk.bytes.data(), &size, plain.data(),
                               static_cast<uLong>(plain.size()), kDeflateLevel);
  EPVS_ASSERT(status == Z_OK);
  if (size < plain.size()) {
    chunk.bytes.resize(size);
  } else {
    chunk.bytes = std::move(plain);
    chunk.filter_mask = shuffled ? 2U : 1U;
  }
  return chunk;
}

std::optional<std::vector<unsigned char>> decode_chunk(const EncodedChunk& chunk,
                                                       std::size_t element_bytes,
                                                       std::size_t data_bytes) {
  const bool has_shuffle = element_bytes > 1;
  const std::uint32_t deflate_bit = has_shuffle ? 2U : 1U;
  std::vector<unsigned char> plain;
  if ((chunk.filter_mask & deflate_bit) != 0) {
    plain = chunk.bytes;
  } else {
    plain.resize(data_bytes);
    uLongf size = static_cast<uLongf>(data_bytes);
    if (uncompress(plain.data(), &size, chunk.bytes.data(),
                   static_cast<uLong>(chunk.bytes.size())) != Z_OK) {
      return std::nullopt;
    }
    plain.resize(size);
  }
  if (plain.size() != data_bytes) return std::nullopt;
  if (has_shuffle && (chunk.filter_mask & 1U) == 0) plain = unshuffle(plain, element_bytes);
  return plain;
}

std::vector<std::uint16_t> to_float16(std::span<const float> values) {
  std::vector<std::uint16_t> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    result[i] = std::bit_cast<std::uint16_t>(Eigen::half(values[i]));
  }
  return result;
}

std::vector<float> from_float16(std::span<const std::uint16_t> values) {
  std::vector<float> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    result[i] = static_cast<float>(std::bit_cast<Eigen::half>(values[i]));
  }
  return result;
}

}  // namespace epvs::data
