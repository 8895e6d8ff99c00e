#include "data/formats/png.h"

#include <fmt/format.h>
#include <png.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "core/files.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// What libpng's callbacks need: no exception may cross its C frames, so they note the failure.
struct WriteTarget {
  std::FILE* file = nullptr;
  int error_number = 0;
  std::string message;
};

void write_data(png_structp png, png_bytep data, png_size_t count) {
  auto& target = *static_cast<WriteTarget*>(png_get_io_ptr(png));
  errno = 0;
  if (std::fwrite(data, 1, count, target.file) != count) {
    target.error_number = errno;
    png_error(png, "write failed");
  }
}

void flush_data(png_structp) {}

void note_error(png_structp png, png_const_charp message) {
  static_cast<WriteTarget*>(png_get_error_ptr(png))->message = message;
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

/// Returns false on failure. Only trivially destructible locals live beside setjmp.
bool encode(WriteTarget& target, const Picture& picture, png_text* texts, int text_count,
            png_bytep* rows) {
  png_structp png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, &target, note_error, ignore_warning);
  if (png == nullptr) return false;
  png_infop info = png_create_info_struct(png);
  if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_write_struct(&png, &info);
    return false;
  }
  png_set_write_fn(png, &target, write_data, flush_data);
  png_set_IHDR(png, info, static_cast<png_uint_32>(picture.width),
               static_cast<png_uint_32>(picture.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (text_count > 0) png_set_text(png, info, texts, text_count);
  png_write_info(png, info);
  png_write_image(png, rows);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return true;
}

[[noreturn]] void fail(const fs::path& path, const std::string& reason) {
  throw core::RunError(fmt::format("cannot write {}: {}", path.string(), reason),
                       "check free space and permissions there, then run again");
}

}  // namespace

Picture::Picture(int picture_width, int picture_height, Colour fill)
    : width(picture_width), height(picture_height) {
  EPVS_ASSERT(width > 0 && height > 0);
  rgb.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  for (int i = 0; i < width * height; ++i) rgb.insert(rgb.end(), fill.begin(), fill.end());
}

void Picture::set(int x, int y, Colour colour) {
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  const auto offset = 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                           static_cast<std::size_t>(x));
  for (std::size_t i = 0; i < 3; ++i) rgb[offset + i] = colour[i];
}

Colour Picture::get(int x, int y) const {
  EPVS_ASSERT(x >= 0 && y >= 0 && x < width && y < height);
  const auto offset = 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                           static_cast<std::size_t>(x));
  return {rgb[offset], rgb[offset + 1], rgb[offset + 2]};
}

void write_png(const fs::path& path, const Picture& picture,
               const std::vector<std::pair<std::string, std::string>>& texts) {
  EPVS_ASSERT(picture.width > 0 && picture.height > 0);
  core::AtomicFile output(path);
  WriteTarget target;
  errno = 0;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(output.temporary().c_str(), "wb"), std::fclose);
  if (!file) fail(path, std::strerror(errno));
  target.file = file.get();
  std::vector<png_text> entries(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    entries[i].compression = PNG_TEXT_COMPRESSION_NONE;
    entries[i].key = const_cast<char*>(texts[i].first.c_str());
    entries[i].text = const_cast<char*>(texts[i].second.c_str());
    entries[i].text_length = texts[i].second.size();
  }
  std::vector<png_bytep> rows;
  const auto stride = static_cast<std::size_t>(picture.width) * 3;
  for (std::size_t y = 0; y < static_cast<std::size_t>(picture.height); ++y) {
    rows.push_back(const_cast<png_bytep>(picture.rgb.data() + y * stride));
  }
  const bool written =
      encode(target, picture, entries.data(), static_cast<int>(entries.size()), rows.data());
  errno = 0;
  if (!written || std::fflush(file.get()) != 0) {
    const int error_number = target.error_number != 0 ? target.error_number : errno;
    fail(path, error_number != 0 ? std::strerror(error_number) : target.message);
  }
  output.commit();
}

}  // namespace epvs::data
