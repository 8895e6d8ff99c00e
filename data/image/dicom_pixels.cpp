#include <fmt/format.h>
#include <gdcmImage.h>
#include <gdcmImageReader.h>
#include <gdcmTrace.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "data/image/dicom_header.h"
#include "data/image/dicom_lock.h"

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

}  // namespace

GdcmLock::GdcmLock() : lock_(the_mutex()) {
  gdcm::Trace::DebugOff();
  gdcm::Trace::WarningOff();
  gdcm::Trace::ErrorOff();
}

DicomPixels read_dicom_pixels(const fs::path& path, std::int64_t rows, std::int64_t columns,
                              std::int64_t frames) {
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
  const auto count = static_cast<std::size_t>(rows * columns * frames);
  const std::size_t expected = count * format.GetPixelSize();
  if (bytes.size() != expected) {
    throw unreadable(path, fmt::format("{} bytes were expected, {} found", expected, bytes.size()));
  }
  return convert(format, bytes, count, path);
}

}  // namespace epvs::data
