#include "models/blocked.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "models/precision.h"

namespace epvs::models {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Some channels of a value, (N, C, Z, Y, X) in oneDNN's layout.
struct Piece {
  Tensor maps;
  bool upsampled = false;  ///< each voxel stands for 2 x 2 x 2
};

/// A value: its channels in order.
using Pieces = std::vector<Piece>;

/// The weights (8 out, in, 2, 2, 2) of the eight small convolutions, the parities (z, y, x) of the
/// output voxel first. Along one axis an even output voxel 2i sees the small voxels i - 1 (weight w0)
/// and i (w1 + w2), an odd one 2i + 1 sees i (w0 + w1) and i + 1 (w2).
Tensor parity_weights(const Tensor& weight) {
  static const Tensor sums =
      torch::tensor({1.0F, 0.0F, 0.0F, 0.0F, 1.0F, 1.0F, 1.0F, 1.0F, 0.0F, 0.0F, 0.0F, 1.0F})
          .view({2, 2, 3});
  Tensor small = weight;  // one axis after the other: (out, in, z, y, x) -> parity, 2 taps
  small = torch::einsum("paz,oizyx->poiayx", {sums, small});
  small = torch::einsum("qby,poiayx->pqoiabx", {sums, small});
  small = torch::einsum("rcx,pqoiabx->pqroiabc", {sums, small});
  return small.reshape({8 * weight.size(0), weight.size(1), 2, 2, 2});
}

/// relu(full + the small maps put where their parity says), in place of `full`.
/// full (N, C, Z, Y, X); small (N, 8 C, z, y, x) with z = ceil(Z / 2) + 1 or Z / 2 + 1: the value of
/// output voxel 2i + p is small[parity p][i + p].
class InterleaveAdd : public torch::autograd::Function<InterleaveAdd> {
 public:
  static Tensor forward(AutogradContext* context, Tensor full, const Tensor& small) {
    const Tensor from = small.contiguous();
    EPVS_ASSERT(full.is_contiguous());
    float* out = full.data_ptr<float>();
    const float* in = from.data_ptr<float>();
    for_each_row(full.sizes(), from.sizes(),
                 [&](std::int64_t row, std::int64_t even, std::int64_t odd, std::int64_t length) {
                   float* values = out + row;
                   const float* at_even = in + even;
                   const float* at_odd = in + odd + 1;
                   for (std::int64_t i = 0; i < length / 2; ++i) {
                     values[2 * i] = std::max(0.0F, values[2 * i] + at_even[i]);
                     values[2 * i + 1] = std::max(0.0F, values[2 * i + 1] + at_odd[i]);
                   }
                   if (length % 2 == 1) {
                     values[length - 1] = std::max(0.0F, values[length - 1] + at_even[length / 2]);
                   }
                 });
    context->mark_dirty({full});
    context->save_for_backward({full});
    context->saved_data["small"] = from.sizes().vec();
    return full;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const Tensor result = context->get_saved_variables().at(0);
    const Tensor masked = torch::where(result > 0, gradients.at(0), 0.0F).contiguous();
    Tensor small = torch::zeros(context->saved_data["small"].toIntVector(), masked.options());
    const float* in = masked.data_ptr<float>();
    float* out = small.data_ptr<float>();
    for_each_row(masked.sizes(), small.sizes(),
                 [&](std::int64_t row, std::int64_t even, std::int64_t odd, std::int64_t length) {
                   const float* values = in + row;
                   for (std::int64_t i = 0; i < length / 2; ++i) {
                     out[even + i] = values[2 * i];
                     out[odd + 1 + i] = values[2 * i + 1];
                   }
                   if (length % 2 == 1) out[even + length / 2] = values[length - 1];
                 });
    return {masked, small};
  }

 private:
  /// Calls row(offset in full, offset in small of the even voxels, of the odd ones, X) for every row
  /// along x; each touches its own part of both.
  template <typename Row>
  static void for_each_row(at::IntArrayRef full, at::IntArrayRef small, const Row& row) {
    const std::int64_t channels = full[1];
    const std::int64_t volume = small[2] * small[3] * small[4];
    at::parallel_for(0, full[0] * channels, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t map = begin; map < end; ++map) {
        const std::int64_t n = map / channels;
        const std::int64_t channel = map % channels;
        for (std::int64_t z = 0; z < full[2]; ++z) {
          for (std::int64_t y = 0; y < full[3]; ++y) {
            const std::int64_t parity = 4 * (z % 2) + 2 * (y % 2);
            const std::int64_t inside = ((z / 2 + z % 2) * small[3] + y / 2 + y % 2) * small[4];
            const std::int64_t first = n * 8 * channels + channel;
            row(((map * full[2] + z) * full[3] + y) * full[4],
                (first + parity * channels) * volume + inside,
                (first + (parity + 1) * channels) * volume + inside, full[4]);
          }
        }
      }
    });
  }
};

/// The sum of the convolutions of all pieces that are upsampled or of all that are not; the bias
/// is added where it is given. Undefined when there is none.
Tensor convolved(const Pieces& pieces, bool upsampled, const Tensor& weight, const Tensor& bias,
                 std::int64_t padding) {
  Tensor sum;
  std::int64_t first = 0;
  for (const Piece& piece : pieces) {
    const std::int64_t channels = piece.maps.size(1);
    if (piece.upsampled == upsampled) {
      const Tensor part = weight.narrow(1, first, channels);
      const Tensor kernel = upsampled ? parity_weights(part) : part.contiguous();
      // Not conv3d, which refuses a bias in float32 beside maps in bfloat16 from LibTorch 2 on.
      const Tensor maps = torch::convolution(piece.maps, kernel, sum.defined() ? Tensor() : bias,
                                             {1, 1, 1}, {padding, padding, padding}, {1, 1, 1},
                                             /*transposed=*/false, {0, 0, 0}, /*groups=*/1);
      sum = sum.defined() ? sum.add_(maps) : maps;
    }
    first += channels;
  }
  return sum;
}

Tensor to_plain(const Tensor& maps) {
  return (maps.is_mkldnn() ? maps.to_dense() : maps).to(torch::kFloat);
}

Pieces convolution(const Pieces& pieces, const Layer& layer, const LayerWeights& weights,
                   torch::ScalarType type) {
  Tensor full = convolved(pieces, false, weights.weight, weights.bias, layer.padding);
  const Tensor small = convolved(pieces, true, weights.weight, {}, 1);
  if (!small.defined()) return {{full.relu_()}};
  EPVS_ASSERT(full.defined() && layer.padding == 1);
  const Tensor joined = InterleaveAdd::apply(to_plain(full), to_plain(small));
  return {{joined.to(type).to_mkldnn()}};
}

Pieces compute(const Layer& layer, const LayerWeights* weights, const std::vector<Pieces>& values,
               torch::ScalarType type) {
  Pieces pieces = values[layer.inputs.front()];
  switch (layer.kind) {
    case LayerKind::kConvolution:
      return convolution(pieces, layer, *weights, type);
    case LayerKind::kConcat: {
      const Pieces& others = values[layer.inputs.back()];
      pieces.insert(pieces.end(), others.begin(), others.end());
      return pieces;
    }
    case LayerKind::kMaxPool:
      for (Piece& piece : pieces) {
        const std::array<std::int64_t, 3> width = {layer.width, layer.width, layer.width};
        piece.maps = torch::mkldnn_max_pool3d(piece.maps, width, width, 0, 1, layer.ceil);
      }
      return pieces;
    case LayerKind::kUpsample:
      // Planes of zeros at the far ends are what the convolution's own padding gives.
      for (Piece& piece : pieces) piece.upsampled = true;
      return pieces;
    case LayerKind::kGlobalPool:
    case LayerKind::kFlatten:
    case LayerKind::kDense:
      break;
  }
  EPVS_ASSERT(false);
  return {};
}

}  // namespace

bool can_block(const Tensor& x, const LayerWeights& weights) {
  return x.device().is_cpu() && x.scalar_type() == torch::kFloat &&
         weights.weight.scalar_type() == torch::kFloat && at::hasMKLDNN() &&
         at::globalContext().userEnabledMkldnn();
}

Tensor blocked_maps(const std::vector<Layer>& layers,
                    const std::vector<std::shared_ptr<LayerWeights>>& weights, std::int64_t head,
                    const Tensor& x, torch::ScalarType type) {
  const Float32 no_autocast;
  std::vector<Pieces> values(static_cast<std::size_t>(head) + 1);
  values[0] = {{x.to(type).to_mkldnn()}};
  for (std::int64_t i = 0; i < head; ++i) {
    values[i + 1] = compute(layers[i], weights[i].get(), values, type);
    for (std::int64_t value = 0; value <= i; ++value) {
      const bool needed =
          std::any_of(layers.begin() + i + 1, layers.begin() + head, [value](const Layer& layer) {
            return std::ranges::find(layer.inputs, value) != layer.inputs.end();
          });
      if (!needed) values[value].clear();
    }
  }
  const Pieces& last = values[head];
  EPVS_ASSERT(!last.empty());
  std::vector<Tensor> maps;
  for (const Piece& piece : last) maps.push_back(to_plain(piece.maps));
  return maps.size() == 1 ? maps.front() : torch::cat(maps, 1);
}

}  // namespace epvs::models
