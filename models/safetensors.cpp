#include "models/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/error.h"
#include "core/files.h"

namespace epvs::models {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little,
              "tensors are written as they lie in memory");

namespace {

constexpr std::uint64_t kMaximumHeader = 100'000'000;  // as the reference implementation has it

[[noreturn]] void not_safetensors(const fs::path& path, const std::string& reason) {
  throw core::InputError(fmt::format("{} is not a safetensors file: {}", path.string(), reason),
                         "weights are written by `epvs train` as weights.safetensors");
}

std::uint64_t element_count(const std::vector<std::int64_t>& shape) {
  std::uint64_t count = 1;
  for (const std::int64_t n : shape) count *= static_cast<std::uint64_t>(n);
  return count;
}

TensorEntry parse_entry(const fs::path& path, const std::string& name, const core::Json& value) {
  TensorEntry entry;
  entry.name = name;
  try {
    entry.dtype = value.at("dtype").get<std::string>();
    for (const core::Json& n : value.at("shape")) {
      if (!n.is_number_unsigned()) not_safetensors(path, "tensor " + name + " has a bad shape");
      entry.shape.push_back(n.get<std::int64_t>());
    }
    entry.begin = value.at("data_offsets").at(0).get<std::uint64_t>();
    entry.end = value.at("data_offsets").at(1).get<std::uint64_t>();
  } catch (const nlohmann::json::exception&) {
    not_safetensors(path, "the entry of tensor " + name + " lacks dtype, shape or data_offsets");
  }
  const std::uint64_t bytes = element_count(entry.shape) * dtype_bytes(entry.dtype);
  if (entry.end < entry.begin || entry.end - entry.begin != bytes) {
    not_safetensors(path, fmt::format("tensor {} should have {} bytes, its offsets are {}..{}",
                                      name, bytes, entry.begin, entry.end));
  }
  return entry;
}

std::string read_header_text(const fs::path& path, std::uint64_t size) {
  std::ifstream file(path, std::ios::binary);
  std::uint64_t length = 0;
  if (!file.read(reinterpret_cast<char*>(&length), sizeof length)) {
    not_safetensors(path, fmt::format("it has {} bytes", size));
  }
  if (length < 2 || length > kMaximumHeader) {
    not_safetensors(path, fmt::format("its first 8 bytes give a header of {} bytes", length));
  }
  if (length > size - sizeof length) {
    throw core::InputError(
        fmt::format("{} is cut short or no safetensors file: its header needs {} bytes, the file "
                    "has {}",
                    path.string(), length + sizeof length, size));
  }
  std::string text(length, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(length))) {
    throw core::InputError(path.string() + " cannot be read: " + std::strerror(errno));
  }
  return text;
}

}  // namespace

std::size_t dtype_bytes(const std::string& dtype) {
  static const std::map<std::string, std::size_t> kBytes = {
      {"F64", 8},  {"I64", 8}, {"U64", 8}, {"F32", 4}, {"I32", 4}, {"U32", 4}, {"F16", 2},
      {"BF16", 2}, {"I16", 2}, {"U16", 2}, {"I8", 1},  {"U8", 1},  {"BOOL", 1}};
  const auto found = kBytes.find(dtype);
  if (found == kBytes.end()) throw core::InputError("unknown tensor type '" + dtype + "'");
  return found->second;
}

SafetensorsHeader read_safetensors_header(const fs::path& path) {
  core::require_exists(path, "weights file");
  if (fs::is_directory(path)) not_safetensors(path, "it is a folder");
  const std::uint64_t size = fs::file_size(path);
  const std::string text = read_header_text(path, size);
  const core::Json document = core::Json::parse(text, nullptr, false);
  if (!document.is_object()) not_safetensors(path, "its header is no JSON object");

  SafetensorsHeader header;
  header.data_offset = sizeof(std::uint64_t) + text.size();
  for (const auto& [name, value] : document.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, entry] : value.items()) {
        if (!entry.is_string()) not_safetensors(path, "__metadata__ " + key + " is not a text");
        header.metadata[key] = entry.get<std::string>();
      }
    } else {
      header.tensors.push_back(parse_entry(path, name, value));
    }
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorEntry& a, const TensorEntry& b) { return a.begin < b.begin; });
  std::uint64_t position = 0;
  for (const TensorEntry& entry : header.tensors) {
    if (entry.begin != position) {
      not_safetensors(path, fmt::format("tensor {} starts at byte {} of the data, expected {}",
                                        entry.name, entry.begin, position));
    }
    position = entry.end;
  }
  if (header.data_offset + position != size) {
    throw core::InputError(
        fmt::format("{} is {}: {} bytes expected, {} found", path.string(),
                    header.data_offset + position > size ? "cut short" : "too long",
                    header.data_offset + position, size),
        "copy the file again, or take it from its run folder");
  }
  return header;
}

void read_safetensors_data(const fs::path& path, const SafetensorsHeader& header,
                           const TensorEntry& tensor, void* destination) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(header.data_offset + tensor.begin));
  const auto bytes = static_cast<std::streamsize>(tensor.end - tensor.begin);
  if (!file.read(static_cast<char*>(destination), bytes)) {
    throw core::InputError(fmt::format("{}: tensor {} cannot be read ({} bytes at {})",
                                       path.string(), tensor.name, bytes, tensor.begin));
  }
}

void write_safetensors(const fs::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  core::Json document = core::Json::object();
  if (!metadata.empty()) document["__metadata__"] = metadata;
  std::uint64_t position = 0;
  for (const TensorToWrite& tensor : tensors) {
    EPVS_ASSERT(!document.contains(tensor.name));
    const std::uint64_t bytes = element_count(tensor.shape) * dtype_bytes(tensor.dtype);
    document[tensor.name] = {{"dtype", tensor.dtype},
                             {"shape", tensor.shape},
                             {"data_offsets", {position, position + bytes}}};
    position += bytes;
  }
  std::string text = document.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const auto length = static_cast<std::uint64_t>(text.size());

  core::require_free_space(path, sizeof length + length + position);
  core::AtomicFile out(path);
  {
    std::ofstream file(out.temporary(), std::ios::binary);
    file.write(reinterpret_cast<const char*>(&length), sizeof length);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    for (const TensorToWrite& tensor : tensors) {
      const std::uint64_t bytes = element_count(tensor.shape) * dtype_bytes(tensor.dtype);
      file.write(static_cast<const char*>(tensor.data), static_cast<std::streamsize>(bytes));
    }
    file.flush();
    if (!file) {
      throw core::RunError(fmt::format("cannot write {}: {}", path.string(), std::strerror(errno)),
                           "free some space or choose another folder");
    }
  }
  out.commit();
}

}  // namespace epvs::models
