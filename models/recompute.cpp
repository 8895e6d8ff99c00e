#include "models/recompute.h"

#include <torch/csrc/autograd/engine.h>

#include <algorithm>

#include "core/error.h"
#include "models/precision.h"

namespace epvs::models {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What the backward pass needs beside the tensors; autograd keeps it as a capsule.
struct Plan : public torch::CustomClassHolder {
  Segment segment;
  std::size_t inputs = 0;  ///< so many of the saved tensors are inputs, the others parameters
  AutocastState autocast;
};

/// Runs the segment and its backward pass. The result is dropped before the backward pass: of its
/// maps only those live that a gradient still needs.
variable_list gradients_of(const Plan& plan, const std::vector<Tensor>& inputs,
                           const variable_list& wanted, const Tensor& gradient) {
  const at::AutoGradMode with_gradient(true);
  torch::autograd::edge_list root;
  {
    const Autocast autocast(plan.autocast);
    const Tensor result = plan.segment(inputs);
    root.push_back(torch::autograd::impl::gradient_edge(result));
  }
  torch::autograd::edge_list targets;
  for (const Tensor& tensor : wanted) {
    targets.push_back(tensor.grad_fn() ? torch::autograd::impl::gradient_edge(tensor)
                                       : torch::autograd::Edge(
                                             torch::autograd::impl::grad_accumulator(tensor), 0));
  }
  return torch::autograd::Engine::get_default_engine().execute(
      root, {gradient}, /*keep_graph=*/false, /*create_graph=*/false, /*accumulate_grad=*/false,
      targets);
}

class Recompute : public torch::autograd::Function<Recompute> {
 public:
  static Tensor forward(AutogradContext* context, const c10::intrusive_ptr<Plan>& plan,
                        at::TensorList tensors) {
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    context->save_for_backward(tensors.vec());
    return plan->segment(tensors.slice(0, plan->inputs).vec());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto plan =
        c10::static_intrusive_pointer_cast<Plan>(context->saved_data["plan"].toCapsule());
    const variable_list saved = context->get_saved_variables();
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < plan->inputs; ++i) {
      inputs.push_back(saved[i].detach().requires_grad_(saved[i].requires_grad()));
    }
    variable_list wanted;
    for (std::size_t i = 0; i < saved.size(); ++i) {
      if (saved[i].requires_grad()) wanted.push_back(i < plan->inputs ? inputs[i] : saved[i]);
    }
    const variable_list found = gradients_of(*plan, inputs, wanted, gradients.at(0));
    // One entry per argument of forward: none for the plan.
    variable_list all(1);
    std::size_t next = 0;
    for (const Tensor& tensor : saved) {
      all.push_back(tensor.requires_grad() ? found[next++] : Tensor());
    }
    return all;
  }
};

}  // namespace

Tensor recomputed(const Segment& segment, const std::vector<Tensor>& inputs,
                  const std::vector<Tensor>& parameters) {
  std::vector<Tensor> tensors = inputs;
  tensors.insert(tensors.end(), parameters.begin(), parameters.end());
  const bool needed = torch::GradMode::is_enabled() &&
                      std::any_of(tensors.begin(), tensors.end(),
                                  [](const Tensor& t) { return t.requires_grad(); });
  if (!needed) return segment(inputs);
  EPVS_ASSERT(!inputs.empty());
  const auto plan = c10::make_intrusive<Plan>();
  plan->segment = segment;
  plan->inputs = inputs.size();
  plan->autocast = AutocastState::current(inputs.front().device().type());
  return Recompute::apply(plan, at::TensorList(tensors));
}

}  // namespace epvs::models
