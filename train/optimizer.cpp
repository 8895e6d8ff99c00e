#include "train/optimizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "core/error.h"

namespace epvs::train {

namespace {

std::string shape_text(const torch::Tensor& tensor) {
  return fmt::format("({}) {}", fmt::join(tensor.sizes().vec(), ", "),
                     std::string(tensor.dtype().name()));
}

}  // namespace

Optimizer::Optimizer(std::vector<NamedParameter> parameters) : parameters_(std::move(parameters)) {
  for (const NamedParameter& parameter : parameters_) {
    EPVS_ASSERT(parameter.value.is_leaf() && parameter.value.is_contiguous());
  }
}

void Optimizer::zero_grad() {
  for (NamedParameter& parameter : parameters_) parameter.value.mutable_grad() = torch::Tensor();
}

void Optimizer::load_state(const NamedTensors& saved) {
  const NamedTensors own = state();
  std::map<std::string, torch::Tensor> by_name(saved.begin(), saved.end());
  for (const auto& [name, tensor] : own) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      throw core::InputError(fmt::format("the saved optimiser state lacks {}", name),
                             "it was written with another optimiser or network");
    }
    if (found->second.sizes() != tensor.sizes() || found->second.dtype() != tensor.dtype()) {
      throw core::InputError(fmt::format("the saved optimiser state {} is {}, expected {}", name,
                                         shape_text(found->second), shape_text(tensor)));
    }
  }
  if (by_name.size() != own.size()) {
    for (const auto& [name, tensor] : own) by_name.erase(name);
    throw core::InputError(fmt::format("the saved optimiser state has {} that this optimiser lacks",
                                       by_name.begin()->first),
                           "it was written with another optimiser or network");
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : own) {
    torch::Tensor target = tensor;
    target.copy_(by_name.at(name));
  }
}

}  // namespace epvs::train
