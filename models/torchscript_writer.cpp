#include "models/torchscript_writer.h"

#include <fmt/format.h>
#include <torch/csrc/jit/api/module.h>

#include <algorithm>
#include <string>

#include "core/files.h"
#include "core/text.h"
#include "models/export_graph.h"
#include "models/weights.h"

namespace epvs::models {

namespace fs = std::filesystem;

namespace {

/// Attribute of a parameter: "up_conv.weight" -> "up_conv_weight".
std::string attribute_name(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

/// Lines of TorchScript.
class ScriptEmitter : public GraphEmitter {
 public:
  Value convolution(const Value& x, const std::string& layer, int padding) override {
    return line(
        "torch.relu(torch.conv3d({}, self.{}_weight, self.{}_bias, [1, 1, 1], "
        "[{}, {}, {}], [1, 1, 1], 1))",
        x, layer, layer, padding, padding, padding);
  }
  Value max_pool(const Value& x, std::int64_t width, bool ceil) override {
    return line("torch.max_pool3d({}, [{}, {}, {}], [{}, {}, {}], [0, 0, 0], [1, 1, 1], {})", x,
                width, width, width, width, width, width, ceil ? "True" : "False");
  }
  Value concat(const Value& a, const Value& b) override {
    return line("torch.cat([{}, {}], 1)", a, b);
  }
  Value upsample(const Value& x, const std::array<std::int64_t, 3>& pad) override {
    const Value up = line("torch.upsample_nearest3d({}, None, [2.0, 2.0, 2.0])", x);
    if (pad == std::array<std::int64_t, 3>{0, 0, 0}) return up;
    return line("torch.constant_pad_nd({}, [0, {}, 0, {}, 0, {}], 0)", up, pad[2], pad[1], pad[0]);
  }
  Value global_pool(const Value& x, const std::string& kind, double scale) override {
    const std::string factor = fmt::format("{:.17e}", scale);
    if (kind == "avg") return line("torch.mean({}, [2, 3, 4]) * {}", x, factor);
    return line("torch.amax({}, [2, 3, 4]) * {}", x, factor);
  }
  Value flatten(const Value& x) override { return line("torch.flatten({}, 1)", x); }
  Value dense(const Value& x, const std::string& layer, bool relu) override {
    const Value y = line("torch.linear({}, self.{}_weight, self.{}_bias)", x, layer, layer);
    return relu ? line("torch.relu({})", y) : y;
  }
  Value squeeze(const Value& x) override { return line("torch.squeeze({}, 1)", x); }
  Value attention(const Value& maps, const std::string& layer) override {
    return line("torch.conv3d({}, torch.reshape(self.{}_weight, [1, -1, 1, 1, 1]))", maps, layer);
  }
  std::string method(const std::string& name, const Value& result) const {
    return "def " + name + "(self, volume: Tensor) -> Tensor:\n" + body_ + "  return " + result +
           "\n";
  }

 private:
  template <class... Args>
  Value line(fmt::format_string<Args...> text, Args&&... args) {
    const Value name = fmt::format("v{}", ++count_);
    body_ += "  " + name + " = " + fmt::format(text, std::forward<Args>(args)...) + "\n";
    return name;
  }
  std::string body_;
  int count_ = 0;
};

}  // namespace

void write_torchscript(const fs::path& weights, const fs::path& out) {
  const LoadedNetwork loaded = load_weights(weights);
  torch::jit::Module module("epvs");
  for (const auto& item : loaded.network->named_parameters()) {
    module.register_parameter(attribute_name(item.key()), item.value().detach(), false);
  }
  ScriptEmitter emitter;
  const GraphOutputs outputs = emit_network(loaded.metadata.network, emitter, "volume");
  module.define(emitter.method("forward", outputs.score));
  if (!outputs.attention.empty()) module.define(emitter.method("attention", outputs.attention));
  core::AtomicFile file(out);
  module.save(file.temporary().string(), {{"epvs.json", loaded.metadata.to_json().dump()}});
  file.commit();
}

}  // namespace epvs::models
