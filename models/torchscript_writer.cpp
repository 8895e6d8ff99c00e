#include "models/export_writers.h"

#include <fmt/format.h>
#include <torch/csrc/jit/api/module.h>

#include <algorithm>
#include <string>

#include "core/files.h"
#include "core/text.h"
#include "models/layers.h"
#include "models/weights.h"

namespace epvs::models {

namespace fs = std::filesystem;

namespace {

/// Attribute of a parameter: "up_conv.weight" -> "up_conv_weight".
std::string attribute_name(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

/// The lines of a method; values are names.
class Script {
 public:
  explicit Script(const NetworkOptions& options) : options_(options) {}

  std::string add(const Layer& layer, const std::string& x, const std::string& other) {
    const std::string& name = layer.name;
    switch (layer.kind) {
      case LayerKind::kConvolution:
        return line(
            "torch.relu(torch.conv3d({0}, self.{1}_weight, self.{1}_bias, [1, 1, 1], [{2}, {2}, "
            "{2}], [1, 1, 1], 1))",
            x, name, layer.padding);
      case LayerKind::kMaxPool:
        return line(
            "torch.max_pool3d({0}, [{1}, {1}, {1}], [{1}, {1}, {1}], [0, 0, 0], [1, 1, 1], {2})", x,
            layer.width, layer.ceil ? "True" : "False");
      case LayerKind::kConcat:
        return line("torch.cat([{}, {}], 1)", x, other);
      case LayerKind::kUpsample: {
        const std::string up = line("torch.upsample_nearest3d({}, None, [2.0, 2.0, 2.0])", x);
        return line("torch.constant_pad_nd({}, [0, {}, 0, {}, 0, {}], 0)", up, layer.pad[2],
                    layer.pad[1], layer.pad[0]);
      }
      case LayerKind::kGlobalPool:
        return line("torch.{}({}, [2, 3, 4]) * {:.17e}",
                    options_.pool == GlobalPool::kAverage ? "mean" : "amax", x,
                    options_.pool_scale);
      case LayerKind::kFlatten:
        return line("torch.flatten({}, 1)", x);
      case LayerKind::kDense: {
        const std::string y = line("torch.linear({0}, self.{1}_weight, self.{1}_bias)", x, name);
        return layer.relu ? line("torch.relu({})", y) : y;
      }
    }
    return {};
  }
  template <class... Args>
  std::string line(fmt::format_string<Args...> text, Args&&... args) {
    const std::string name = fmt::format("v{}", ++count_);
    body_ += "  " + name + " = " + fmt::format(text, std::forward<Args>(args)...) + "\n";
    return name;
  }
  std::string method(const std::string& name, const std::string& result) const {
    return "def " + name + "(self, volume: Tensor) -> Tensor:\n" + body_ + "  return " + result +
           "\n";
  }

 private:
  const NetworkOptions& options_;
  std::string body_;
  int count_ = 0;
};

void define_methods(const NetworkOptions& options, torch::jit::Module& module) {
  const std::vector<Layer> layers = layers_of(options);
  Script script(options);
  std::vector<std::string> values = {"volume"};
  for (const Layer& layer : layers) {
    values.push_back(script.add(layer, values[layer.inputs.front()], values[layer.inputs.back()]));
  }
  const std::string score = script.line("torch.squeeze({}, 1)", values.back());
  module.define(script.method("forward", score));
  if (!has_attention(options)) return;
  const std::string map =
      script.line("torch.conv3d({}, torch.reshape(self.output_weight, [1, -1, 1, 1, 1]))",
                  values[last_maps(layers)]);
  module.define(script.method("attention", map));
}

}  // namespace

void write_torchscript(const fs::path& weights, const fs::path& out) {
  const LoadedNetwork loaded = load_weights(weights);
  torch::jit::Module module("epvs");
  for (const auto& item : loaded.network->named_parameters()) {
    module.register_parameter(attribute_name(item.key()), item.value().detach(), false);
  }
  define_methods(loaded.metadata.network, module);
  core::AtomicFile file(out);
  module.save(file.temporary().string(), {{"epvs.json", loaded.metadata.to_json().dump()}});
  file.commit();
}

}  // namespace epvs::models
