// Which training loss, and its constants; without Torch.
#pragma once

#include <string>
#include <vector>

namespace epvs::train {

/// With e = score - label of each scan in the batch:
///   mse        mean e^2 (P1, P2)
///   mae        mean |e|
///   mce        mean |e|^3, "mean cubic error" (P1 Table 3; the absolute value is ours)
///   mfe        mean e^4, "mean fourth-power error" (MQE in P1 Table 3)
///   rmse       sqrt(mean e^2 + 1e-12); with a batch of one it is |e|
///   huber      mean of e^2/2 for |e| <= delta, delta (|e| - delta/2) beyond
///   tukey      mean of c^2/6 (1 - (1 - (r/c)^2)^3) for |r| <= c, c^2/6 beyond, r = e / scale;
///              `scale` is 1.4826 times the median absolute deviation of the residuals
///   summed     (sum of scores - sum of labels)^2 / n: Hydranet's loss (arXiv 1807.04798) per scan
struct LossOptions {
  std::string kind = "mse";
  double huber_delta = 1.0;       ///< in units of the label
  double tukey_constant = 4.685;  ///< unstated in P1; the usual 95% efficiency constant
  static std::vector<std::string> kinds();
  /// Throws core::UsageError with option, value and violated constraint.
  void validate() const;
};

}  // namespace epvs::train
