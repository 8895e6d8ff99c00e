#include <fmt/format.h>
#include <gdcmImage.h>
#include <gdcmImageReader.h>
#include <gdcmTrace.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "core/error.h"
#include "data/prepare/inputs/dicom_header.h"
#include "data/prepare/inputs/dicom_lock.h"
#include "data/prepare/inputs/dicom_structure.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

std::mutex& the_mutex() {
  static std::mutex mutex;
  return mutex;
}

template <class T>
std::vector<double> as_numbers(const std::vector<char>& bytes, std::size_t count) {
  std::vector<double> numbers(count);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    numbers[i] = static_cast<double>(value);
  }
  return numbers;
}

DicomPixels convert(const gdcm::PixelFormat& format, const std::vector<char>& bytes,
                    std::size_t count, const fs::path& path) {
  switch (format.GetScalarType()) {
    case gdcm::PixelFormat::UINT8:
      return {"uint8", as_numbers<std::uint8_t>(bytes, count)};
    case gdcm::PixelFormat::INT8:
      return {"int8", as_numbers<std::int8_t>(bytes, count)};
    case gdcm::PixelFormat::UINT16:
      return {"uint16", as_numbers<std::uint16_t>(bytes, count)};
    case gdcm::PixelFormat::INT16:
      return {"int16", as_numbers<std::int16_t>(bytes, count)};
    case gdcm::PixelFormat::UINT32:
      return {"uint32", as_numbers<std::uint32_t>(bytes, count)};
    case gdcm::PixelFormat::INT32:
      return {"int32", as_numbers<std::int32_t>(bytes, count)};
    case gdcm::PixelFormat::FLOAT32:
      return {"float32", as_numbers<float>(bytes, count)};
    case gdcm::PixelFormat::FLOAT64:
      return {"float64", as_numbers<double>(bytes, count)};
    default:
      throw core::InputError(fmt::format("{}: pixels of {} bits are not supported", path.string(),
                                         format.GetBitsAllocated()),
                             "convert the series with dcm2niix");
  }
}

core::InputError unreadable(const fs::path& path, const std::string& reason) {
  return core::InputError(
      fmt::format("{}: the pixels cannot be read: {}", path.string(), reason),
      "fetch or export the file again: it was cut off or damaged, or its compression is unknown; "
      "dcm2niix or dcmdjpeg can convert many others");
}

/// One stored number: bits high_bit - bits_stored + 1 to high_bit of a little-endian word.
double stored_number(const unsigned char* raw, const DicomStructure& format) {
  std::uint64_t word = 0;
  for (int i = format.bits_allocated / 8 - 1; i >= 0; --i) word = word << 8U | raw[i];
  word >>= static_cast<unsigned>(format.high_bit + 1 - format.bits_stored);
  const std::uint64_t range = std::uint64_t{1} << static_cast<unsigned>(format.bits_stored);
  word &= range - 1;
  if (!format.has_sign || word < range / 2) return static_cast<double>(word);
  return static_cast<double>(static_cast<std::int64_t>(word) - static_cast<std::int64_t>(range));
}

/// Pixels that stand in the file as they are. Not by GDCM: its image reader ends the whole program
/// where an element that it looks at on the way is damaged.
DicomPixels read_raw(const fs::path& path, const DicomStructure& format, std::size_t count) {
  const int bits = format.bits_allocated;
  if ((bits != 8 && bits != 16 && bits != 32) || format.bits_stored < 1 ||
      format.bits_stored > format.high_bit + 1 || format.high_bit >= bits) {
    throw core::InputError(
        fmt::format("{}: pixels of {} bits, {} of them used up to bit {}, are not supported",
                    path.string(), bits, format.bits_stored, format.high_bit),
        "8, 16 or 32 bits were expected; convert the series with dcm2niix");
  }
  const std::size_t size = static_cast<std::size_t>(bits) / 8;
  if (format.pixel_bytes < static_cast<std::int64_t>(count * size)) {
    throw unreadable(
        path, fmt::format("{} bytes were expected, {} found", count * size, format.pixel_bytes));
  }
  std::vector<unsigned char> bytes(count * size);
  std::ifstream file(path, std::ios::binary);
  file.seekg(format.pixel_offset);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw unreadable(path, "the file ends before its pixels");
  DicomPixels pixels;
  pixels.type = fmt::format("{}int{}", format.has_sign ? "" : "u", bits);
  pixels.stored.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    pixels.stored[i] = stored_number(bytes.data() + i * size, format);
  }
  return pixels;
}

}  // namespace

GdcmLock::GdcmLock() : lock_(the_mutex()) {
  gdcm::Trace::DebugOff();
  gdcm::Trace::WarningOff();
  gdcm::Trace::ErrorOff();
}

DicomPixels read_dicom_pixels(const fs::path& path, std::int64_t rows, std::int64_t columns,
                              std::int64_t frames) {
  const DicomStructure structure = read_dicom_structure(path);
  if (!structure.problem.empty()) throw unreadable(path, structure.problem);
  const auto count = static_cast<std::size_t>(rows * columns * frames);
  if (!structure.compressed) return read_raw(path, structure, count);
  const GdcmLock lock;
  gdcm::ImageReader reader;
  reader.SetFileName(path.c_str());
  bool done = false;
  std::vector<char> bytes;
  try {
    done = reader.Read();
    if (done) {
      bytes.resize(reader.GetImage().GetBufferLength());
      done = reader.GetImage().GetBuffer(bytes.data());
    }
  } catch (const std::exception&) {  // of GDCM: says nothing that helps
    done = false;
  }
  if (!done) throw unreadable(path, "the file is incomplete or not what its header says");
  const gdcm::PixelFormat& format = reader.GetImage().GetPixelFormat();
  const std::size_t expected = count * format.GetPixelSize();
  if (bytes.size() != expected) {
    throw unreadable(path, fmt::format("{} bytes were expected, {} found", expected, bytes.size()));
  }
  return convert(format, bytes, count, path);
}

}  // namespace epvs::data
