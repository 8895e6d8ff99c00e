#include "models/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "core/text.h"

namespace epvs::models {

namespace fs = std::filesystem;

namespace {

using torch::Tensor;

struct StoredType {
  std::string_view name;
  torch::ScalarType type;
};
constexpr StoredType kStoredTypes[] = {{"F32", torch::kFloat},
                                       {"F64", torch::kDouble},
                                       {"I64", torch::kInt64},
                                       {"I32", torch::kInt32}};

std::string type_name(const Tensor& tensor) {
  for (const StoredType& stored : kStoredTypes) {
    if (stored.type == tensor.scalar_type()) return std::string(stored.name);
  }
  throw core::UsageError(
      fmt::format("weights of type {} cannot be stored; expected float32 or float64",
                  c10::toString(tensor.scalar_type())));
}

std::string shape_text(const Tensor& tensor) {
  return fmt::format("({})", fmt::join(tensor.sizes().vec(), ", "));
}

NamedTensors parameters_of(const Network& network) {
  NamedTensors named;
  for (const auto& item : network.named_parameters()) named.emplace_back(item.key(), item.value());
  return named;
}

void load_into(const fs::path& path, const SafetensorsHeader& header, Network& network) {
  copy_tensors(read_tensors(path, header), parameters_of(network),
               fmt::format("the weights {} do not fit the network {}", path.string(),
                           core::to_text(network.options().architecture)));
}

}  // namespace

void write_tensors(const fs::path& path, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata) {
  NamedTensors on_cpu;
  std::vector<TensorToWrite> entries;
  for (const auto& [name, tensor] : tensors) {
    const Tensor& kept =
        on_cpu.emplace_back(name, tensor.detach().to(torch::kCPU).contiguous()).second;
    entries.push_back({name, type_name(kept), kept.sizes().vec(), kept.data_ptr()});
  }
  write_safetensors(path, entries, metadata);
}

NamedTensors read_tensors(const fs::path& path, const SafetensorsHeader& header) {
  NamedTensors tensors;
  for (const TensorEntry& entry : header.tensors) {
    const auto* const stored = std::ranges::find(kStoredTypes, entry.dtype, &StoredType::name);
    if (stored == std::end(kStoredTypes)) {
      throw core::InputError(fmt::format("{}: unexpected type {} of the tensor {}", path.string(),
                                         entry.dtype, entry.name));
    }
    const Tensor tensor = torch::empty(entry.shape, stored->type);
    read_safetensors_data(path, header, entry, tensor.data_ptr());
    tensors.emplace_back(entry.name, tensor);
  }
  return tensors;
}

void copy_tensors(const NamedTensors& stored, const NamedTensors& targets,
                  const std::string& misfit, const std::string& hint) {
  std::map<std::string, Tensor> found(stored.begin(), stored.end());
  std::vector<std::string> problems;
  std::vector<std::pair<Tensor, Tensor>> copies;
  for (const auto& [name, target] : targets) {
    const auto node = found.extract(name);
    if (node.empty()) {
      problems.push_back(fmt::format("{} {} is missing", name, shape_text(target)));
      continue;
    }
    const Tensor& value = node.mapped();
    if (value.sizes() != target.sizes()) {
      problems.push_back(fmt::format("{} is {} in the file, {} in the network", name,
                                     shape_text(value), shape_text(target)));
    } else if (value.scalar_type() != target.scalar_type()) {
      problems.push_back(fmt::format("{} is of type {} in the file, {} in the network", name,
                                     type_name(value), type_name(target)));
    }
    copies.emplace_back(target, value);
  }
  for (const auto& [name, tensor] : found) {
    problems.push_back(fmt::format("{} {} is not part of the network", name, shape_text(tensor)));
  }
  if (!problems.empty()) {
    throw core::InputError(fmt::format("{}: {}", misfit, core::join(problems, "; ")), hint);
  }
  const torch::NoGradGuard no_grad;
  for (auto& [target, value] : copies) target.copy_(value);
}

void save_weights(const fs::path& path, const Network& network, const WeightsMetadata& metadata) {
  WeightsMetadata complete = metadata;
  complete.network = network.options();
  write_tensors(path, parameters_of(network), {{"epvs", complete.to_json().dump()}});
}

LoadedNetwork load_weights(const fs::path& path) {
  const SafetensorsHeader header = read_safetensors_header(path);
  LoadedNetwork loaded;
  loaded.metadata = parse_weights_metadata(header.metadata, path);
  try {
    loaded.network = make_network(loaded.metadata.network, 0);
  } catch (const core::UsageError& error) {
    throw core::InputError(path.string() + ": " + error.what());
  }
  if (!header.tensors.empty() && header.tensors.front().dtype == "F64") {
    loaded.network->to(torch::kDouble);
  }
  load_into(path, header, *loaded.network);
  return loaded;
}

void load_weights_into(const fs::path& path, Network& network) {
  const SafetensorsHeader header = read_safetensors_header(path);
  const WeightsMetadata metadata = parse_weights_metadata(header.metadata, path);
  if (metadata.network.architecture != network.options().architecture) {
    throw core::InputError(
        fmt::format("the weights {} are of the architecture {}, the network is {}", path.string(),
                    core::to_text(metadata.network.architecture),
                    core::to_text(network.options().architecture)),
        "set network.architecture to that of the weights, or take other weights");
  }
  load_into(path, header, network);
}

}  // namespace epvs::models
