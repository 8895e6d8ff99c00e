#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace epvs::train {

double schedule_factor(const TrainOptions& options, double epoch) {
  if (epoch < options.warmup_epochs) return epoch / options.warmup_epochs;
  const double total = static_cast<double>(options.epochs);
  const double progress =
      total > options.warmup_epochs
          ? std::min(1.0, (epoch - options.warmup_epochs) / (total - options.warmup_epochs))
          : 1.0;
  const double last = options.final_factor;
  switch (options.schedule) {
    case Schedule::kCosine:
      return last + (1 - last) * (1 + std::cos(std::numbers::pi * progress)) / 2;
    case Schedule::kLinear:
      return 1 + (last - 1) * progress;
    case Schedule::kStep:
      return std::pow(options.step_factor, std::floor(epoch / options.step_epochs));
    case Schedule::kConstant:
    case Schedule::kPlateau:
      return 1.0;
  }
  return 1.0;
}

void Plateau::see(double value, const TrainOptions& options) {
  if (value < best - options.min_delta) {
    best = value;
    bad_epochs = 0;
    return;
  }
  if (++bad_epochs <= options.plateau_epochs) return;
  factor = std::max(factor * options.step_factor, options.final_factor);
  bad_epochs = 0;
}

core::Json Plateau::to_json() const {
  return {{"factor", factor},
          {"best", std::isfinite(best) ? core::Json(best) : core::Json()},
          {"bad_epochs", bad_epochs}};
}

Plateau Plateau::from_json(const core::Json& document) {
  Plateau plateau;
  document.at("factor").get_to(plateau.factor);
  if (!document.at("best").is_null()) document.at("best").get_to(plateau.best);
  document.at("bad_epochs").get_to(plateau.bad_epochs);
  return plateau;
}

}  // namespace epvs::train
