#include "train/adadelta_kernel.h"

#include <cmath>

namespace epvs::train {

template <class T>
void adadelta_update(T* __restrict weight, const T* __restrict gradient,
                     T* __restrict square_average, T* __restrict update_average, std::int64_t count,
                     const AdadeltaStep<T>& step) {
  const T rho = step.rho;
  const T rest = T(1) - rho;
  const T epsilon = step.epsilon;
  const T decay = step.weight_decay;
  const T rate = step.learning_rate;
  for (std::int64_t i = 0; i < count; ++i) {
    const T g = gradient[i] + decay * weight[i];
    const T v = rho * square_average[i] + rest * g * g;
    const T d = g * (std::sqrt(update_average[i] + epsilon) / std::sqrt(v + epsilon));
    square_average[i] = v;
    update_average[i] = rho * update_average[i] + rest * d * d;
    weight[i] -= rate * d;
  }
}

template void adadelta_update<float>(float*, const float*, float*, float*, std::int64_t,
                                     const AdadeltaStep<float>&);
template void adadelta_update<double>(double*, const double*, double*, double*, std::int64_t,
                                      const AdadeltaStep<double>&);

}  // namespace epvs::train
