// The recipe of a training: everything that decides its result beside the data and the seed.
// Without Torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/enum_names.h"
#include "core/json.h"
#include "core/parameters.h"
#include "models/network_options.h"

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
enum class Loss { kMse, kMae, kMce, kMfe, kRmse, kHuber, kTukey, kSummed };
constexpr auto names_of(Loss) {
  return std::to_array<core::EnumName<Loss>>({{Loss::kMse, "mse"},
                                              {Loss::kMae, "mae"},
                                              {Loss::kMce, "mce"},
                                              {Loss::kMfe, "mfe"},
                                              {Loss::kRmse, "rmse"},
                                              {Loss::kHuber, "huber"},
                                              {Loss::kTukey, "tukey"},
                                              {Loss::kSummed, "summed"}});
}

struct LossOptions {
  Loss kind = Loss::kMse;
  double huber_delta = 1.0;       ///< in units of the label
  double tukey_constant = 4.685;  ///< unstated in P1; the usual 95% efficiency constant
  /// Throws core::UsageError with option, value and violated constraint.
  void validate() const;
};

/// Flips have anatomical names. P1's text flips "x and y"; P1 Table 3 names them FlipX = along the
/// sagittal axis = front_back (our tensors' Y), FlipY = left_right (X), FlipZ = up_down (Z).
enum class Flip { kLeftRight, kFrontBack, kUpDown };
constexpr auto names_of(Flip) {
  return std::to_array<core::EnumName<Flip>>({{Flip::kLeftRight, "left_right"},
                                              {Flip::kFrontBack, "front_back"},
                                              {Flip::kUpDown, "up_down"}});
}

struct AugmentationOptions {
  bool enabled = true;
  std::vector<Flip> flips = {Flip::kLeftRight, Flip::kFrontBack};  ///< P1 3.1; Table 3 row 1: all
  double flip_probability = 0.5;
  double rotation_rad = 0.2;        ///< uniform on +- this about each axis (P1)
  double translation_voxels = 2.0;  ///< uniform on +- this along each axis (P1)

  // Imitation of clinical scans (P2's future work), off by default; see
  // train/augmentation/augmentation.h.
  double clinical_probability = 0.5;                ///< of each part
  std::vector<double> slice_thickness_mm = {0, 0};  ///< uniform between; 0, 0: off
  double slice_gap_fraction = 0.0;                  ///< largest gap, as a fraction of the thickness
  double contrast = 0.0;                            ///< largest |log| of the factor of contrast
  double gamma = 0.0;                               ///< largest |log| of the exponent
  double bias_field = 0.0;  ///< largest coefficient of the logarithm of the field
  double blur_mm = 0.0;     ///< largest sigma
  double noise = 0.0;       ///< largest SD of the Rician noise; volumes are 0..1
  bool is_clinical() const {
    return slice_thickness_mm.back() > 0 || contrast > 0 || gamma > 0 || bias_field > 0 ||
           blur_mm > 0 || noise > 0;
  }
  /// Throws core::UsageError with option, value and violated constraint.
  void validate() const;
};

enum class OptimizerKind { kAdadelta, kAdamW, kSgd };
constexpr auto names_of(OptimizerKind) {
  return std::to_array<core::EnumName<OptimizerKind>>({{OptimizerKind::kAdadelta, "adadelta"},
                                                       {OptimizerKind::kAdamW, "adamw"},
                                                       {OptimizerKind::kSgd, "sgd"}});
}

/// Of the learning rate over the epochs (train/optimizer.h).
enum class Schedule { kConstant, kCosine, kLinear, kStep, kPlateau };
constexpr auto names_of(Schedule) {
  return std::to_array<core::EnumName<Schedule>>({{Schedule::kConstant, "constant"},
                                                  {Schedule::kCosine, "cosine"},
                                                  {Schedule::kLinear, "linear"},
                                                  {Schedule::kStep, "step"},
                                                  {Schedule::kPlateau, "plateau"}});
}

/// The validation figure that decides the best epoch.
enum class StopMetric { kLoss, kMae, kPearson, kIcc2 };
constexpr auto names_of(StopMetric) {
  return std::to_array<core::EnumName<StopMetric>>({{StopMetric::kLoss, "loss"},
                                                    {StopMetric::kMae, "mae"},
                                                    {StopMetric::kPearson, "pearson"},
                                                    {StopMetric::kIcc2, "icc2"}});
}

/// How the output unit starts (train/output_fit.h).
enum class OutputFit { kNone, kRidge };
constexpr auto names_of(OutputFit) {
  return std::to_array<core::EnumName<OutputFit>>(
      {{OutputFit::kNone, "none"}, {OutputFit::kRidge, "ridge"}});
}

/// [train]: order, optimiser, stopping, checkpoints.
struct TrainOptions {
  std::string region;  ///< empty: the only region of the cohort
  std::int64_t epochs = 100;
  std::int64_t batch_size = 1;  ///< P1
  std::int64_t accumulate = 1;  ///< batches per update of the weights
  LossOptions loss;

  OptimizerKind optimizer = OptimizerKind::kAdadelta;
  double learning_rate = 1.0;
  double rho = 0.95;      ///< Adadelta
  double epsilon = 1e-8;  ///< Adadelta, AdamW
  double beta1 = 0.9;     ///< AdamW
  double beta2 = 0.999;   ///< AdamW
  double momentum = 0.9;  ///< SGD
  bool nesterov = false;  ///< SGD
  double weight_decay = 0.0;
  double clip_norm = 0.0;  ///< 0: gradients are not clipped
  Schedule schedule = Schedule::kConstant;
  double warmup_epochs = 0.0;
  double step_epochs = 30.0;
  double step_factor = 0.1;
  double final_factor = 0.0;
  std::int64_t plateau_epochs = 10;
  std::vector<std::string> freeze;
  std::vector<std::string> learning_rates;  ///< "pattern=factor"

  std::int64_t patience = 0;  ///< epochs without improvement before stopping; 0: never
  double min_delta = 0.0;
  StopMetric stop_metric = StopMetric::kLoss;

  bool bias_init_from_labels = false;
  OutputFit output_fit = OutputFit::kNone;
  bool pool_scale_from_voxels = false;

  double checkpoint_minutes = 10.0;
  double cache_gb = 4.0;
  models::Precision precision = models::Precision::kFloat32;
  bool deterministic = true;
  bool flush_denormals = true;
  bool tensorboard = true;

  /// Throws UsageError with option, value and violated constraint.
  void validate() const;
};

/// [network], [train], [augment].
struct Recipe {
  models::NetworkOptions network;
  TrainOptions train;
  AugmentationOptions augment;

  /// Declares every parameter by its dotted name.
  void declare(core::ParameterTable& table);
  void validate() const;
};

/// Tables of a recipe file that other commands read.
inline const std::vector<std::string> kForeignTables = {"experiment"};

/// Throws core::UsageError "`name` = `value`. Violated constraint: `constraint`" unless it `holds`.
void require(bool holds, std::string_view name, double value, std::string_view constraint);

/// `text` against a pattern with * (any text) and ? (one character); the whole text must match.
bool matches_pattern(const std::string& text, const std::string& pattern);

}  // namespace epvs::train
