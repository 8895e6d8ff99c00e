#include "data/prepare/inputs/weights_header.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <string>

#include "core/error.h"
#include "core/files.h"
#include "core/json.h"

namespace epvs::data {

PreprocessingOptions read_weights_preprocessing(const std::filesystem::path& weights_or_run) {
  const std::filesystem::path path = core::find_weights(weights_or_run);
  const auto fail = [&path](const std::string& why) {
    return core::InputError(
        fmt::format("{}: {}", path.string(), why),
        "--like wants a weights.safetensors file that epvs wrote, or its run folder");
  };
  std::ifstream file(path, std::ios::binary);
  std::array<unsigned char, 8> bytes{};
  if (!file.read(reinterpret_cast<char*>(bytes.data()), 8)) {
    throw fail("not a safetensors file (shorter than 8 bytes)");
  }
  std::uint64_t length = 0;
  for (std::size_t i = 8; i-- > 0;) length = length << 8U | bytes[i];
  const std::uintmax_t size = std::filesystem::file_size(path);
  if (length > size - 8) {
    throw fail(fmt::format("its header should have {} bytes, but the file has {}", length, size));
  }
  std::string text(length, '\0');
  file.read(text.data(), static_cast<std::streamsize>(length));
  const core::Json header = core::Json::parse(text, nullptr, false);
  if (!header.is_object()) throw fail("its header is not JSON");
  const auto metadata = header.find("__metadata__");
  if (metadata == header.end() || !metadata->is_object() || !metadata->contains("epvs") ||
      !(*metadata)["epvs"].is_string()) {
    throw fail("its metadata has no entry 'epvs'");
  }
  const core::Json ours = core::Json::parse((*metadata)["epvs"].get<std::string>(), nullptr, false);
  if (!ours.is_object() || !ours.contains("preprocessing")) {
    throw fail("its metadata does not say how scans were prepared");
  }
  try {
    return PreprocessingOptions::from_json(ours["preprocessing"]);
  } catch (const core::Error& error) {
    throw fail(error.what());
  }
}

}  // namespace epvs::data
