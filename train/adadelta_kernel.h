// The inner loop of Adadelta, apart from Torch so that it is compiled with its own flags.
#pragma once

#include <cstdint>

namespace epvs::train {

/// The constants of one update; see AdadeltaOptions.
template <class T>
struct AdadeltaStep {
  T rho;
  T epsilon;
  T weight_decay;
  T learning_rate;
};

/// Updates `count` weights and their running averages in one pass over memory. The arrays must not
/// overlap. Instantiated for float and double.
template <class T>
void adadelta_update(T* weight, const T* gradient, T* square_average, T* update_average,
                     std::int64_t count, const AdadeltaStep<T>& step);

}  // namespace epvs::train
